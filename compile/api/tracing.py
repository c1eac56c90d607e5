# SPDX-License-Identifier: Apache-2.0
"""What anyone's AArch64 program costs on a target's cores, by the core model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.named import as_target
from mnc.support.errors import UserError
from mnc.support.progress import working

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyTarget
    from mnc.compile.report.traced import TraceReport

LOOPS = 12


def trace(
    command: Sequence[str],
    target: "AnyTarget",
    *,
    function: str | None = None,
    library: Path | None = None,
    call: int = 2,
    threads: int = 1,
    environment: Mapping[str, str] | None = None,
) -> "TraceReport":
    """Run an AArch64 Linux program under the emulator and price a region of it on `target`'s fast cores.

    The region is call `call` of `function` (in the program, or in `library`), the call before it warming
    the caches; without a function what the program marks as timed (docs/tracing.md). "python" as the
    program is one with numpy. UserError when the program does not run, or never gets to the region.
    """
    from mnc.compile.measure.simulated import check_simulable
    from mnc.compile.report import traced as stage
    from mnc.compile.tracing import symbols
    from mnc.compile.tracing.emulator import Command
    from mnc.compile.tracing.tracing import trace as price

    cpu = as_target(target)
    check_simulable(cpu, threads=threads)
    if cpu.arch != "aarch64":
        raise UserError(
            f"target {cpu.name} is {cpu.arch}; AArch64 programs are priced on AArch64 targets"
        )
    if not command:
        raise UserError("no program given; name one, such as ./a.out, and its arguments")
    region = None
    if function is not None:
        region = symbols.function(library or Path(command[0]), function, call=call)
    with working("running the program under the emulator"):
        found = price(
            Command(tuple(command), environment or {}), cpu, function=region, threads=threads
        )
    return stage.report(found, cpu, threads=threads, most_loops=LOOPS)
