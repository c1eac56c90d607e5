# SPDX-License-Identifier: Apache-2.0
"""Devices: virtual boards, the tracker that knows them, how to connect real ones, and what is wrong with one.

A tracker is named as "host:port". What is run here goes on until its context ends. Only what is asked for is
imported: all but addresses needs TVM.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnc.compile.api.named import as_target
from mnc.compile.rpc.address import HOST, PORT, parse, parse_tracker

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyTarget
    from mnc.compile.rpc.board import Board
    from mnc.compile.rpc.doctor import Diagnosis
    from mnc.compile.rpc.fleet import DeviceRow
    from mnc.compile.rpc.tracker import Tracker


@dataclass(frozen=True)
class JoinedWorkers:
    """`count` workers have joined `tracker` ("host:port")."""

    count: int
    tracker: str


def virtual_boards(
    target: "AnyTarget",
    *,
    tracker: str | None = None,
    key: str | None = None,
    count: int = 1,
    cores: int = 1,
    cpu: str | None = None,
    host: str = HOST,
) -> "AbstractContextManager[list[Board]]":
    """Run `count` boards of `cores` cores each, under qemu as `cpu` (None: the target's).

    They register as `key` (None: the target's name) with `tracker` (None: the one here, started when there
    is none) and listen on `host`. UserError when they cannot be had.
    """
    from mnc.compile.rpc.board import running_boards

    return running_boards(
        as_target(target),
        tracker=parse_tracker(tracker) if tracker else None,
        key=key,
        count=count,
        cores=cores,
        cpu=cpu,
        host=host,
    )


def start_tracker(*, host: str = HOST, port: int = PORT) -> "Tracker":
    """Run TVM's tracker, on the first free port from `port` on. Use as a context manager."""
    from mnc.compile.rpc.tracker import start_tracker as start

    return start(host=host, port=port)


def list_devices(tracker: str = f"{HOST}:{PORT}") -> "tuple[DeviceRow, ...]":
    """The devices that `tracker` knows. UserError when there is no tracker."""
    from mnc.compile.rpc.fleet import devices

    return devices(parse_tracker(tracker))


def enroll(
    kind: str = "linux",
    *,
    key: str,
    login: str = "pi@raspberrypi.local",
    host: str = HOST,
    port: int = PORT,
) -> str:
    """The commands that make a device called `key` of a board that `login` names: "linux", on its network,
    "ssh", through a tunnel, or "android", a phone on USB. The tracker is at `host`:`port`.
    """
    from mnc.compile.rpc.enroll import enroll as commands

    return commands(kind, key=key, login=login, host=host, port=port)


def doctor(
    target: "AnyTarget" = "host", *, device: str | None = None, cc: str | None = None
) -> "tuple[Diagnosis, ...]":
    """Check compiler and linker for `target`, then a tiny kernel here or, after the tracker, on `device`
    ("rpc://host:port/key"). A link that cannot be tried because one before it is broken is left out.
    """
    cpu = as_target(target)
    address = parse(device, key=cpu.name) if device else None
    from mnc.compile.rpc.doctor import examine

    return examine(cpu, device=address, cc=cc)


@contextmanager
def simulate_workers(
    *, tracker: str | None = None, count: int | None = None, host: str = HOST
) -> Iterator[JoinedWorkers]:
    """Let this machine simulate for others: `count` workers (None: one for each core) that join `tracker`
    (None: the one here, started when there is none) and are reached at `host`.
    """
    from mnc.compile.measure.fleet.workers import running_workers
    from mnc.compile.rpc.tracker import text

    place = parse_tracker(tracker) if tracker else None
    with running_workers(tracker=place, count=count, host=host) as workers:
        yield JoinedWorkers(len(workers), text(workers[0].address.tracker))
