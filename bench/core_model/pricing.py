# SPDX-License-Identifier: Apache-2.0
"""One built kernel through the simulator, as a plain value that can be compared, stored and sent.

Takes a `BuiltKernel` and its `MeasuredBoard`; gives a `Price`.
"""

from pathlib import Path

import msgspec

from bench.core_model.boards import MeasuredBoard
from bench.core_model.kernels import BuiltKernel
from mnc.compile.simulator.simulate import Kernel, simulate


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator says. `causes` are (cause, cycles), `misses` (level, lines from beyond it)."""

    seconds: float
    cycles: float
    instructions: int
    spills: int
    causes: tuple[tuple[str, float], ...]
    misses: tuple[tuple[str, int], ...]


def price(kernel: BuiltKernel, board: MeasuredBoard) -> Price:
    """Warm, on all fast cores, as the board's time_evaluator saw it. Raises UserError (SimulationError).

    AutoTVM of 2018 timed kernels on arrays from nd.empty that nobody had written to (its later versions copy
    them once, "to avoid some memory issues that make the measurement results unreliable"): the system shows
    such pages as one page of zeros, which stays in L1.
    """
    buffers = tuple((one.shape, "float32", one.is_output) for one in kernel.arguments)
    unwritten = tuple(i for i, one in enumerate(kernel.arguments) if not one.is_output)
    code = Kernel(Path(kernel.code).read_bytes(), buffers, unwritten)
    found = simulate(code, board.target, threads=board.threads, state="warm")
    levels = [(f"L{level}", lines) for level, lines in enumerate(found.misses, 1)]
    return Price(
        seconds=found.seconds,
        cycles=found.cycles,
        instructions=found.instructions,
        spills=found.spill_loads + found.spill_stores,
        causes=tuple((cause.name.lower(), cycles) for cause, cycles in found.causes),
        misses=(*levels, ("DRAM", found.dram_lines), ("TLB", found.tlb_misses)),
    )
