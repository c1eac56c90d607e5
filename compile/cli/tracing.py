# SPDX-License-Identifier: Apache-2.0
"""The verb trace: what anyone's AArch64 program costs on a target's cores, by the core model."""

from pathlib import Path

import click

from mnc.compile import api
from mnc.compile.cli.common import as_json_option, console, print_json, table, target_option
from mnc.compile.cli.explaining import show_loop
from mnc.support.errors import UserError

SHOWN_LOOPS = 3


@click.command(context_settings={"ignore_unknown_options": True})
@target_option
@click.option("--function", metavar="NAME", help="The region: a call of this function.")
@click.option(
    "--library",
    type=click.Path(path_type=Path),
    help="Where --function is, if not in PROGRAM.",
)
@click.option(
    "--call",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Which call of it to price; the one before it warms the caches.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Cores at work."
)
@click.option("--env", "variables", metavar="NAME=VALUE", multiple=True, help="For the program.")
@click.option(
    "--lines", type=click.IntRange(min=1), default=40, show_default=True, help="Of a loop to show."
)
@as_json_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True, metavar="PROGRAM...")
def trace(
    target_name: str,
    function: str | None,
    library: Path | None,
    call: int,
    threads: int,
    variables: tuple[str, ...],
    lines: int,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """Say what an AArch64 PROGRAM costs on a target's cores.

    Runs any AArch64 Linux program under qemu and prices what it does, instruction by instruction, by the
    core model. The region is a call of a function, or what the program marks itself (docs/tracing.md).
    "python" as PROGRAM is an AArch64 Python with numpy. Options come before PROGRAM, its own arguments
    after it.
    """
    found = api.trace(
        command,
        target_name,
        function=function,
        library=library,
        call=call,
        threads=threads,
        environment=dict(_variable(one) for one in variables),
    )
    if as_json:
        print_json(found)
    else:
        _show(found, lines)


def _variable(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise UserError(f"--env takes NAME=VALUE, not {text!r}")
    return name, value


def _show(found: api.TraceReport, lines: int) -> None:
    say = console.result
    say(
        f"time: {found.total} on {found.threads}x {found.core}, {found.cycles:,.0f} cycles, "
        f"{found.instructions:,} instructions, {found.flops / 1e6:,.1f} Mflop ({found.model})"
    )
    say(found.total.basis)
    rows = [
        {"cycles go to": share.cause, "cycles": round(share.cycles), "%": 100 * share.share}
        for share in found.causes
    ]
    table(rows, as_json=False)
    if found.unknown:
        names = ", ".join(f"{count:,} {name}" for name, count in found.unknown)
        say(f"without a model, {100 * found.unknown_share:.4f} % of the instructions: {names}")
    for one in found.loops[:SHOWN_LOOPS]:
        say("")
        say(one.place or "code made at run time")
        show_loop(one.loop, found.cycles, lines)


VERBS = (trace,)
