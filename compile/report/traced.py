# SPDX-License-Identifier: Apache-2.0
"""A traced program's cost as a person reads it: time, causes, hottest loops with the functions they are in.

Takes a `Trace`; gives a `TraceReport`.
"""

from dataclasses import dataclass, replace

from mnc.compile.report.explain import Share, core_name, listed, shares
from mnc.compile.simulator.identity import identity
from mnc.compile.simulator.listing import ListedInstruction, Loop, loops
from mnc.compile.simulator.totals import Total, total_of
from mnc.compile.tracing.tracing import Trace
from mnc.targets import Target


@dataclass(frozen=True)
class PlacedLoop:
    """A loop and where it is: "libncnn.so: name+0x40", the file alone where it has no names."""

    place: str
    loop: Loop


@dataclass(frozen=True)
class TraceReport:
    """One region. Instructions and cycles are of the thread that took longest, of `threads` at work; `total`
    is the seconds with their range. `unknown` are instructions that the core model has no model of, by name,
    and how often they ran.
    """

    core: str
    model: str
    threads: int
    seconds: float
    total: Total
    cycles: float
    instructions: int
    flops: int
    causes: tuple[Share, ...]
    unknown: tuple[tuple[str, int], ...]
    unknown_share: float
    loops: tuple[PlacedLoop, ...]


def report(trace: Trace, target: Target, *, threads: int, most_loops: int) -> TraceReport:
    """The `most_loops` hottest loops, and all else."""
    found = trace.simulation
    hottest = loops(_merged(trace))[:most_loops]
    return TraceReport(
        core=core_name(target),
        model=identity(target),
        threads=threads,
        seconds=found.seconds,
        total=total_of(found.seconds, core=target.fast.cpu, threads=threads),
        cycles=found.cycles,
        instructions=found.instructions,
        flops=found.flops,
        causes=shares(found),
        unknown=trace.unknown,
        unknown_share=trace.unknown_share,
        loops=tuple(PlacedLoop(trace.place(one.lines[0].address), one) for one in hottest),
    )


def _merged(trace: Trace) -> list[ListedInstruction]:
    """By address: the emulator's blocks overlap where code is entered in several places."""
    found: dict[int, ListedInstruction] = {}
    for executed in trace.simulation.listing:
        line = listed(executed)
        if (known := found.get(line.address)) is not None:
            cause = max(known, line, key=lambda one: one.cycles).cause
            line = replace(
                known,
                count=known.count + line.count,
                cycles=known.cycles + line.cycles,
                cause=cause,
            )
        found[line.address] = line
    return [found[address] for address in sorted(found)]
