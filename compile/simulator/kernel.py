# SPDX-License-Identifier: Apache-2.0
"""What is simulated, `Kernel`, and what comes out, `Simulation`: plain values."""

from dataclasses import dataclass
from typing import Literal

from mnc.compile.simulator.core.structs import Cause
from mnc.compile.simulator.isa.instructions import Line
from mnc.compile.simulator.loader.arguments import KernelArgument

CacheState = Literal["warm", "cold"]


@dataclass(frozen=True)
class Kernel:
    """`code` is an object file or shared library of one packed function, `arguments` its buffers in calling
    order: (shape, dtype, whether it is written). `unwritten` are the indices of those that nobody has ever
    written: the system shows all their pages as one page of zeros, and the caches see only that one.
    Code of several packed functions needs the name of one, `function`.
    """

    code: bytes
    arguments: tuple[KernelArgument, ...]
    unwritten: tuple[int, ...] = ()
    function: str | None = None


@dataclass(frozen=True)
class Executed:
    """One instruction of the kernel: how often it ran, the cycles that were spent on it, and by cause."""

    line: Line
    count: int
    cycles: float
    causes: tuple[tuple[Cause, float], ...]

    @property
    def cause(self) -> Cause | None:
        """What most of its cycles went to; None where there are none."""
        return max(self.causes, key=lambda one: one[1])[0] if self.causes else None


@dataclass(frozen=True)
class Simulation:
    """One call, on `threads` cores. Counts are of the core with the largest share, the one that is timed.

    `flops` are floating-point operations by the instructions that ran. `misses` are lines fetched from
    beyond each cache level, nearest first; `spill_loads` and `spill_stores` go to the stack.
    """

    seconds: float
    cycles: float
    instructions: int
    flops: int
    loads: int
    stores: int
    spill_loads: int
    spill_stores: int
    spill_cycles: float
    causes: tuple[tuple[Cause, float], ...]
    misses: tuple[int, ...]
    dram_lines: int
    tlb_misses: int
    mispredicted: int
    listing: tuple[Executed, ...]
