# SPDX-License-Identifier: Apache-2.0
"""From what was counted and timed to what the whole call costs.

Takes a `TimedCall`; gives a `Simulation`. An instruction's cycles are scaled by how often it ran for each
time it was timed, so that no part of a kernel weighs more than it should, however the sample fell.
"""

import math
from typing import NamedTuple

import numpy as np

from mnc.compile.simulator.core.structs import Cause, CoreStats
from mnc.compile.simulator.isa.instructions import Flag
from mnc.compile.simulator.isa.packing import Array
from mnc.compile.simulator.kernel import Executed, Simulation
from mnc.compile.simulator.program import DecodedProgram


class TimedCall(NamedTuple):
    """`untimed` and `timed` are counts by instruction, `cycles` by instruction and cause; `streams` are bytes
    of memset and memcpy untimed and timed, and the cycles of the latter.
    """

    untimed: Array
    timed: Array
    stats: CoreStats
    cycles: Array
    streams: tuple[float, float, float]


def estimate(code: DecodedProgram, of: TimedCall, ghz: float) -> Simulation:
    """What the call costs on a core of `ghz`."""
    insns, stats = code.insns, of.stats
    counts = (of.untimed + of.timed).astype(np.float64)
    scaled = _scaled(of.cycles, counts, of.timed.astype(np.float64))
    # What no instruction answers for: parallel launches, memset.
    # fsum: numpy's order of adding is the CPU's choice, and a cost must be the same on every machine.
    whole_cost = np.array([math.fsum(column) for column in scaled.T])
    causes = np.array(stats.causes) - of.cycles.sum(0) + whole_cost
    untimed, timed, streamed = of.streams
    causes[Cause.STORE] += streamed * untimed / timed if timed else 0.0
    whole = counts * (insns["flags"] & Flag.CONTINUES == 0)
    stack = insns["flags"] & Flag.STACK != 0
    ran, observed = float(whole.sum()), max(stats.instructions, 1)
    cycles = math.fsum(causes)
    return Simulation(
        seconds=cycles / (ghz * 1e9),
        cycles=cycles,
        instructions=int(ran),
        flops=int(counts @ insns["flops"]),
        loads=int(counts @ insns["loads"]),
        stores=int(counts @ insns["stores"]),
        spill_loads=int(counts @ (insns["loads"] * stack)),
        spill_stores=int(counts @ (insns["stores"] * stack)),
        spill_cycles=math.fsum(scaled[stack].ravel()),
        causes=tuple((cause, float(causes[cause])) for cause in Cause),
        misses=tuple(stats.misses),
        dram_lines=stats.dram_lines,
        tlb_misses=stats.tlb_misses,
        mispredicted=round(stats.mispredicted * ran / observed),
        listing=_listing(code, counts, scaled),
    )


def _scaled(cycles: Array, counts: Array, timed: Array) -> Array:
    """Instructions that ran but were never timed cost what the average one does."""
    known = timed > 0
    scaled: Array = cycles * np.where(known, counts / np.maximum(timed, 1), 0.0)[:, None]
    average = cycles.sum(0) / max(timed.sum(), 1.0)
    scaled[~known] = counts[~known, None] * average
    return scaled


def _listing(code: DecodedProgram, counts: Array, cycles: Array) -> tuple[Executed, ...]:
    """Parts of one machine instruction are put together."""
    rows: list[Executed] = []
    for i in np.flatnonzero(counts):
        spent, line, count = cycles[i].copy(), code.lines[i], int(counts[i])
        if code.insns["flags"][i] & Flag.CONTINUES and rows:
            last = rows.pop()
            line, count = last.line, last.count
            for cause, more in last.causes:
                spent[cause] += more
        causes = tuple((cause, float(spent[cause])) for cause in Cause if spent[cause])
        rows.append(Executed(line, count, float(spent.sum()), causes))
    return tuple(rows)
