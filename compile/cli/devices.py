# SPDX-License-Identifier: Apache-2.0
"""Verbs on devices: device start, tracker, list, enroll; doctor, which checks the whole chain.

And simulate-worker, which makes a device of this machine's spare time.
"""

import time
from typing import Any

import click
import msgspec

from mnc.compile import api
from mnc.compile.api import HOST, PORT
from mnc.compile.cli.common import as_json_option, console, table, target_option

UNHEALTHY = 1
tracker_option = click.option(
    "--tracker",
    "tracker_text",
    metavar="HOST:PORT",
    default=f"{HOST}:{PORT}",
    show_default=True,
    help="Where the tracker is.",
)
host_option = click.option(
    "--host",
    default=HOST,
    show_default=True,
    help="Address to listen on. RPC has no authentication: anything but the loopback is a risk.",
)
port_option = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=PORT,
    show_default=True,
    help="The tracker's port.",
)


@click.group()
def device() -> None:
    """Virtual boards, and how to connect real ones."""


@device.command()
@click.option("--target", "target_name", default="arm", show_default=True, help="What to be.")
@click.option("--key", help="Name that devices are asked for by. [default: the target's]")
@click.option(
    "--boards", type=click.IntRange(min=1), default=1, show_default=True, help="How many to run."
)
@click.option(
    "--cores", type=click.IntRange(1, 64), default=1, show_default=True, help="Cores of each."
)
@click.option("--cpu", help="CPU that qemu emulates, or max. [default: the target's]")
@click.option(
    "--tracker",
    "tracker_text",
    metavar="HOST:PORT",
    help="Tracker to register with. [default: the one here, started when there is none]",
)
@host_option
def start(
    target_name: str,
    key: str | None,
    boards: int,
    cores: int,
    cpu: str | None,
    tracker_text: str | None,
    host: str,
) -> None:
    """Run virtual boards until Ctrl-C: TVM's RPC server in AArch64 code, under qemu.

    What they compute is exact; their times say nothing about a real core.
    """
    with api.virtual_boards(
        target_name, tracker=tracker_text, key=key, count=boards, cores=cores, cpu=cpu, host=host
    ) as running:
        console.result(f"use it with --device {running[-1].address}; Ctrl-C stops it")
        _wait_for_ctrl_c()


@device.command()
@host_option
@port_option
def tracker(host: str, port: int) -> None:
    """Run TVM's tracker until Ctrl-C: devices register with it, tools ask it for them."""
    with api.start_tracker(host=host, port=port) as started:
        console.result(f"tracker at {started}; Ctrl-C stops it")
        _wait_for_ctrl_c()


@device.command(name="list")
@tracker_option
@as_json_option
def list_devices(tracker_text: str, as_json: bool) -> None:
    """List the tracker's devices: key, free or busy, CPU, cores, TVM version, last seen."""
    found = api.list_devices(tracker_text)
    if not found and not as_json:
        console.note(f"the tracker at {tracker_text} knows no device; `mnc device start` makes one")
        return
    table([_row(one) for one in found], as_json=as_json)


def _row(value: Any) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(value)
    return row


@device.command()
@click.argument("kind", type=click.Choice(["linux", "ssh", "android"]), default="linux")
@click.option("--key", required=True, help="Name to give the device, such as rpi4.")
@click.option("--login", default="pi@raspberrypi.local", show_default=True, help="The board's.")
@click.option(
    "--host", default=HOST, show_default=True, help="This machine, as the board reaches it."
)
@port_option
def enroll(kind: str, key: str, login: str, host: str, port: int) -> None:
    """Print the commands that make a device of a board: on its network, over SSH, or a phone on USB."""
    console.result(api.enroll(kind, key=key, login=login, host=host, port=port))


@click.command()
@target_option
@click.option("--device", "device_text", metavar="rpc://HOST:PORT/KEY", help="Check it as well.")
@click.option("--cc", help="C compiler to link with, instead of the target's default.")
@as_json_option
@click.pass_context
def doctor(
    context: click.Context, target_name: str, device_text: str | None, cc: str | None, as_json: bool
) -> None:
    """Check the chain from compiler to device.

    Says what to fix; exits with 1 when a link is broken.
    """
    checks = api.doctor(target_name, device=device_text, cc=cc)
    table([_row(check) for check in checks], as_json=as_json)
    if not all(check.ok for check in checks):
        context.exit(UNHEALTHY)


@click.command(name="simulate-worker")
@click.option(
    "--tracker",
    "tracker_text",
    metavar="HOST:PORT",
    help="Tracker to join. [default: the one here, started when there is none]",
)
@click.option(
    "--count", type=click.IntRange(min=1), help="Candidates at once. [default: one for each core]"
)
@host_option
def simulate_worker(tracker_text: str | None, count: int | None, host: str) -> None:
    """Let this machine simulate for others until Ctrl-C.

    It joins a tracker, as a board does; `mnc tune --tracker HOST:PORT` then spreads its candidates over all
    that have joined. HOST is this machine's address where those others reach it.
    """
    with api.simulate_workers(tracker=tracker_text, count=count, host=host) as joined:
        console.result(
            f"{joined.count} worker(s) have joined; use them with `mnc tune --tracker {joined.tracker}`"
        )
        console.result("Ctrl-C stops them; what they are at is done by others")
        _wait_for_ctrl_c()


def _wait_for_ctrl_c() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.note("stopping")


VERBS = (device, doctor, simulate_worker)
