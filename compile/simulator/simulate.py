# SPDX-License-Identifier: Apache-2.0
"""What a kernel costs on a target's cores, from its machine code alone.

Takes a `Kernel` (object or library, and its buffers) and a `Target`; gives a `Simulation`: seconds and where
the cycles go. Pure computation, the same bit for bit in every process on every machine.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import numpy as np

from compile.simulator import image as images
from compile.simulator import native, program
from compile.simulator.cores import Cause, CoreStats, clock_ghz, core_params
from compile.simulator.errors import SimulationError
from compile.simulator.image import Image
from compile.simulator.micro_ops import Flag, Line, Op
from compile.simulator.program import Program
from targets import Target

State = Literal["warm", "cold"]
UNUSED_REGISTER = 33
MAX_BLOCKS = 4_000_000_000  # some minutes of simulation


class Outcome(IntEnum):
    """`outcome` of interpret.h."""

    RAN = 0
    FAULT = 1
    NO_SUCH_CODE = 2
    FLAGS_NEEDED = 3
    VECTOR_NEEDED = 4
    TOO_LONG = 5
    KERNEL_FAILED = 6
    OUT_OF_MEMORY = 7
    NESTED = 8


@dataclass(frozen=True)
class Kernel:
    """`code` is an object file or shared library of one packed function, `arguments` its buffers in calling
    order: (shape, dtype, whether it is written). `unwritten` are the indices of those that nobody has ever
    written: the system shows all their pages as one page of zeros, and the caches see only that one.
    Code of several packed functions needs the name of one, `function`.
    """

    code: bytes
    arguments: tuple[tuple[tuple[int, ...], str, bool], ...]
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


def simulate(
    kernel: Kernel,
    target: Target,
    *,
    threads: int = 1,
    state: State = "warm",
    decoded: Program | None = None,
) -> Simulation:
    """One call of the kernel on `threads` of the target's fast cores.

    state="warm": everything was run once before, as a timing loop does. "cold": weights are in no cache, the
    input was just written, as in a network. `decoded` saves the time of `decode(kernel)`, whose result is the
    same for every function of one code. SimulationError names what the model does not know.
    """
    image = images.build(kernel.code, kernel.arguments, kernel.function)
    if image.arch != target.arch:
        raise SimulationError(
            f"the kernel is {image.arch} code, target {target.name} {target.arch}"
        )
    code = decoded or program.decode(image)
    with (
        _machine(image, code, kernel, threads) as run,
        _core(code, target, threads) as core,
    ):
        if state == "warm":
            run(core, timed=False)
        else:
            _write_inputs(core, image)
        native.library().core_restart(core)
        counts = run(core, timed=True)
        stats, per_insn = _statistics(core, code)
    return _simulation(stats, clock_ghz(target.fast), _listing(code, counts, per_insn))


def decode(kernel: Kernel) -> Program:
    """The kernel's machine code, decoded: it lies at the same addresses whichever function of it is run."""
    return program.decode(images.build(kernel.code, kernel.arguments, kernel.function))


@contextmanager
def _core(code: Program, target: Target, threads: int) -> Iterator[int]:
    library = native.library()
    params = core_params(target, threads=threads)
    core = library.core_create(ctypes.byref(params), code.insns.ctypes.data, len(code.insns))
    try:
        yield core
    finally:
        library.core_destroy(core)


@contextmanager
def _machine(
    image: Image, code: Program, kernel: Kernel, threads: int
) -> Iterator[Callable[..., np.ndarray[Any, Any]]]:
    """A function that runs the kernel on a core and gives how often each instruction ran."""
    library = native.library()
    layout = _layout(image, code, threads)
    _mark_unwritten(layout, image, kernel)
    view = (ctypes.c_uint8 * len(image.memory)).from_buffer(image.memory)
    insns, ops = code.insns, code.micro_ops
    machine = library.machine_create(
        ctypes.byref(layout), ctypes.addressof(view), insns.ctypes.data, len(insns)
    )

    def run(core: int, *, timed: bool) -> np.ndarray[Any, Any]:
        outcome = library.machine_run(machine, core, ops.ctypes.data, len(ops), timed)
        if outcome != Outcome.RAN:
            raise _failure(Outcome(outcome), machine, image, code)
        counts = np.ctypeslib.as_array(library.machine_counts(machine), (len(insns),))
        return _per_insn(counts, code)

    try:
        yield run
    finally:
        library.machine_destroy(machine)


def _layout(image: Image, code: Program, threads: int) -> native.Layout:
    abi = code.abi
    registers = (*abi.arguments, *[UNUSED_REGISTER] * (8 - len(abi.arguments)))
    return native.Layout(
        base=image.base,
        bytes=len(image.memory),
        magic=image.magic,
        text=image.text_start,
        text_bytes=image.text_end - image.text_start,
        heap=image.heap,
        heap_bytes=images.HEAP_BYTES,
        environment=image.environment,
        stack=image.stack,
        entry=image.entry,
        arguments=image.arguments,
        argument_registers=registers,
        result_register=abi.result,
        stack_register=abi.stack_pointer,
        link_register=-1 if abi.link is None else abi.link,
        pointer_bytes=abi.pointer_bytes,
        threads=threads,
        max_blocks=MAX_BLOCKS,
    )


def _mark_unwritten(layout: native.Layout, image: Image, kernel: Kernel) -> None:
    """Whole pages only: the first and last may hold something else."""
    chosen = kernel.unwritten[: native.MAX_UNWRITTEN]
    layout.zeros, layout.n_unwritten = image.zeros, len(chosen)
    for i, index in enumerate(chosen):
        buffer = image.buffers[index]
        end = (buffer.address + buffer.size) // images.PAGE * images.PAGE
        layout.unwritten[i][:] = (-(-buffer.address // images.PAGE) * images.PAGE, end)


def _per_insn(blocks: np.ndarray[Any, Any], code: Program) -> np.ndarray[Any, Any]:
    """Counts of blocks, at their first instructions, to counts of all instructions."""
    leaders = _leaders(code)
    return blocks[np.maximum.accumulate(np.where(leaders, np.arange(len(blocks)), 0))]


def _leaders(code: Program) -> np.ndarray[Any, Any]:
    """Which instructions begin a block; the same rule as mark_leaders of interpret.c."""
    insns, ops = code.insns, code.micro_ops
    leaders = np.zeros(len(insns), bool)
    leaders[0] = True
    last = insns["first"].astype(np.int64) + insns["count"] - 1
    kinds = np.where(insns["count"] > 0, ops["op"][np.clip(last, 0, len(ops) - 1)], 0)
    control = (kinds >= Op.BRANCH) & (kinds <= Op.JUMP)
    leaders[1:] |= control[:-1]
    direct = control & (kinds != Op.JUMP)
    targets = ops["imm"][last[direct]].astype(np.uint64)
    where = np.searchsorted(insns["address"], targets)
    where = where[where < len(insns)]
    leaders[where] = True
    return leaders


def _failure(outcome: Outcome, machine: int, image: Image, code: Program) -> SimulationError:
    address, at = ctypes.c_uint64(), ctypes.c_uint64()
    native.library().machine_error(machine, ctypes.byref(address), ctypes.byref(at))
    if at.value in code.refused:
        return SimulationError(code.refused[at.value])
    line = next((line for line in code.lines if line.address == at.value), None)
    where = f"at {at.value:#x} ({line.text})" if line is not None else "in the runtime"
    reasons = {
        Outcome.FAULT: f"access to {address.value:#x}, outside its memory,",
        Outcome.NO_SUCH_CODE: "an instruction or function without a model",
        Outcome.FLAGS_NEEDED: "a branch depends on floating-point values",
        Outcome.VECTOR_NEEDED: "an integer depends on vector values that are not calculated",
        Outcome.TOO_LONG: "it runs too long",
        Outcome.KERNEL_FAILED: f"the kernel failed: {image.text_at(address.value)!r}",
        Outcome.OUT_OF_MEMORY: "its workspaces do not fit",
        Outcome.NESTED: "parallel sections too deep",
    }
    return SimulationError(f"the kernel cannot be simulated: {reasons[outcome]} {where}")


def _write_inputs(core: int, image: Image) -> None:
    """As a measured kernel in a network finds its caches: the output's memory was in use before, then the
    layer before wrote the input. Of what is read, weights have the most axes; the largest other is the input.
    """
    sweep = native.library().machine_sweep
    for buffer in image.buffers:
        if buffer.is_output:
            sweep(core, buffer.address, buffer.size, 0)
    inputs = [buffer for buffer in image.buffers if not buffer.is_output]
    others = [one for one in inputs if one.axes < max(two.axes for two in inputs)] or inputs[:1]
    for buffer in sorted(others, key=lambda one: -one.size)[:1]:
        sweep(core, buffer.address, buffer.size, 1)


def _statistics(core: int, code: Program) -> tuple[CoreStats, np.ndarray[Any, Any]]:
    stats, per_insn = CoreStats(), np.zeros((len(code.insns), len(Cause)))
    native.library().core_stats(core, ctypes.byref(stats), per_insn.ctypes.data)
    return stats, per_insn


def _listing(
    code: Program, counts: np.ndarray[Any, Any], cycles: np.ndarray[Any, Any]
) -> tuple[Executed, ...]:
    """Parts of one machine instruction are put together."""
    rows: list[Executed] = []
    for i in np.flatnonzero(counts):
        spent, line, count = cycles[i], code.lines[i], int(counts[i])
        if code.insns["flags"][i] & Flag.CONTINUES and rows:
            last = rows.pop()
            line, count = last.line, last.count
            for cause, more in last.causes:
                spent[cause] += more
        causes = tuple((cause, float(spent[cause])) for cause in Cause if spent[cause])
        rows.append(Executed(line, count, float(spent.sum()), causes))
    return tuple(rows)


def _simulation(stats: CoreStats, ghz: float, listing: tuple[Executed, ...]) -> Simulation:
    return Simulation(
        seconds=stats.cycles / (ghz * 1e9),
        cycles=stats.cycles,
        instructions=stats.instructions,
        flops=stats.flops,
        loads=stats.loads,
        stores=stats.stores,
        spill_loads=stats.spill_loads,
        spill_stores=stats.spill_stores,
        spill_cycles=stats.spill_cycles,
        causes=tuple((cause, float(stats.causes[cause])) for cause in Cause),
        misses=tuple(stats.misses),
        dram_lines=stats.dram_lines,
        tlb_misses=stats.tlb_misses,
        mispredicted=stats.mispredicted,
        listing=listing,
    )
