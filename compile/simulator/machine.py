# SPDX-License-Identifier: Apache-2.0
"""The interpreter and a core model at work on one kernel.

Takes an `Image`, its `DecodedProgram` and a `Target`; gives a `Machine`, whose runs leave counts and
statistics.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mnc.compile.simulator.core import native
from mnc.compile.simulator.core.params import core_params
from mnc.compile.simulator.core.structs import (
    ARGUMENT_REGISTERS,
    MAX_UNWRITTEN,
    Cause,
    CoreStats,
    MachineLayout,
    Mode,
    RunOutcome,
)
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.micro_ops import SINK
from mnc.compile.simulator.isa.packing import Array
from mnc.compile.simulator.kernel import Kernel
from mnc.compile.simulator.loader import image as images
from mnc.compile.simulator.loader.arguments import PlacedBuffer
from mnc.compile.simulator.loader.builder import PAGE
from mnc.compile.simulator.loader.image import Image
from mnc.compile.simulator.program import DecodedProgram
from mnc.targets import Target

PIECE = 4096  # bytes read, then written
MAX_INSTRUCTIONS = 40_000_000_000  # some minutes of simulation


class Machine:
    """One kernel, loaded, and one core, its caches empty at first."""

    def __init__(self, image: Image, code: DecodedProgram, machine: int, core: int) -> None:
        self._image, self._code, self._machine, self._core = image, code, machine, core

    def warm_up(self) -> None:
        """Call the kernel; the caches take part, no time passes."""
        self._call(Mode.TOUCHED)

    def count(self) -> None:
        """Call the kernel; its instructions are counted, and it is noted which lines other cores use too.
        The caches stay as they are.
        """
        self._call(Mode.COUNTED)
        native.library().core_restart(self._core)

    def read_weights(self, then: int) -> None:
        """Leave the caches as an inference ago: what the kernel reads was read, `then` bytes of others."""
        for buffer in self._image.buffers:
            if not buffer.is_output:
                self._sweep(buffer, store=False)
        native.library().machine_sweep(self._core, self._image.heap, then, False)

    def write_inputs(self) -> None:
        """Leave the caches as in a network: the output's memory was in use, then the layer before wrote the
        input. Of what is read, weights have the most axes; the largest other is the input.
        """
        image = self._image
        for buffer in image.buffers:
            if buffer.is_output:
                self._sweep(buffer, store=False)
        inputs = [buffer for buffer in image.buffers if not buffer.is_output]
        most = max((one.axes for one in inputs), default=0)
        others = [one for one in inputs if one.axes < most] or inputs[:1]
        for buffer in sorted(others, key=lambda one: -one.size)[:1]:
            self._write_from_elsewhere(buffer)

    def _write_from_elsewhere(self, buffer: PlacedBuffer) -> None:
        """The layer before reads as much as it writes, which takes its place in the caches too."""
        half = images.HEAP_BYTES // 2
        sweep, elsewhere = native.library().machine_sweep, self._image.heap + half
        for at in range(0, buffer.size, PIECE):
            size = min(PIECE, buffer.size - at)
            sweep(self._core, elsewhere + at % half, size, 0)
            sweep(self._core, buffer.address + at, size, 1)

    def time(self, *, window: int = 0, gap: int = 0) -> None:
        """Call the kernel and time it: all of it, or stretches of `window` instructions, `gap` apart."""
        native.library().core_restart(self._core)
        self._call(Mode.TIMED, window=window, gap=gap)

    def counts(self) -> tuple[Array, Array]:
        """How often each instruction ran in the last call: untimed, and timed."""
        return self._counts(Mode.TOUCHED), self._counts(Mode.TIMED)

    def streams(self) -> tuple[float, float, float]:
        """Of memset and memcpy in the last call: bytes untimed, bytes timed, cycles of the timed ones."""
        three = (ctypes.c_double * 3)()
        native.library().machine_streams(self._machine, three)
        return three[0], three[1], three[2]

    def statistics(self) -> tuple[CoreStats, Array]:
        """What the core counted since time began, and cycles by instruction and cause."""
        stats, cycles = CoreStats(), np.zeros((len(self._code.insns), len(Cause)))
        native.library().core_stats(self._core, ctypes.byref(stats), cycles.ctypes.data)
        return stats, cycles

    def _sweep(self, buffer: PlacedBuffer, *, store: bool) -> None:
        native.library().machine_sweep(self._core, buffer.address, buffer.size, store)

    def _call(self, mode: Mode, *, window: int = 0, gap: int = 0) -> None:
        ops = self._code.micro_ops
        arguments = (ops.ctypes.data, len(ops), mode, window, gap)
        outcome = native.library().machine_run(self._machine, self._core, *arguments)
        if outcome != RunOutcome.RAN:
            raise _failure(RunOutcome(outcome), self._machine, self._image, self._code)

    def _counts(self, mode: Mode) -> Array:
        found = np.zeros(len(self._code.insns), np.uint64)
        native.library().machine_counts(self._machine, mode, found.ctypes.data)
        return found


@contextmanager
def load(
    image: Image, code: DecodedProgram, kernel: Kernel, target: Target, threads: int
) -> Iterator[Machine]:
    """The kernel on one of `threads` fast cores of the target."""
    library, insns = native.library(), code.insns
    layout = _layout(image, code, threads)
    _mark_unwritten(layout, image, kernel)
    params = core_params(target, threads=threads)
    view = (ctypes.c_uint8 * len(image.memory)).from_buffer(image.memory)
    memory, program = ctypes.addressof(view), insns.ctypes.data
    machine = library.machine_create(ctypes.byref(layout), memory, program, len(insns))
    core = library.core_create(ctypes.byref(params), program, len(insns))
    try:
        if not machine or not core:
            raise SimulationError("the kernel cannot be simulated: out of memory")
        yield Machine(image, code, machine, core)
    finally:
        library.core_destroy(core)
        library.machine_destroy(machine)


def _layout(image: Image, code: DecodedProgram, threads: int) -> MachineLayout:
    abi = code.abi
    registers = (*abi.arguments, *[SINK] * (ARGUMENT_REGISTERS - len(abi.arguments)))
    return MachineLayout(
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
        max_instructions=MAX_INSTRUCTIONS,
    )


def _mark_unwritten(layout: MachineLayout, image: Image, kernel: Kernel) -> None:
    """Whole pages only: the first and last may hold something else."""
    chosen = kernel.unwritten[:MAX_UNWRITTEN]
    layout.zeros, layout.n_unwritten = image.zeros, len(chosen)
    for i, index in enumerate(chosen):
        buffer = image.buffers[index]
        end = (buffer.address + buffer.size) // PAGE * PAGE
        layout.unwritten[i][:] = (-(-buffer.address // PAGE) * PAGE, end)


def _failure(
    outcome: RunOutcome, machine: int, image: Image, code: DecodedProgram
) -> SimulationError:
    address, at = ctypes.c_uint64(), ctypes.c_uint64()
    native.library().machine_error(machine, ctypes.byref(address), ctypes.byref(at))
    if at.value in code.refused:
        return SimulationError(code.refused[at.value])
    line = next((line for line in code.lines if line.address == at.value), None)
    where = f"at {at.value:#x} ({line.text})" if line is not None else "in the runtime"
    reasons = {
        RunOutcome.FAULT: f"access to {address.value:#x}, outside its memory,",
        RunOutcome.NO_SUCH_CODE: "an instruction or function without a model",
        RunOutcome.FLAGS_NEEDED: "a branch depends on floating-point values",
        RunOutcome.VECTOR_NEEDED: "an integer depends on vector values that are not calculated",
        RunOutcome.TOO_LONG: "it runs too long",
        RunOutcome.KERNEL_FAILED: f"the kernel failed: {image.text_at(address.value)!r}",
        RunOutcome.OUT_OF_MEMORY: "its workspaces do not fit",
        RunOutcome.NESTED: "parallel sections too deep",
    }
    return SimulationError(f"the kernel cannot be simulated: {reasons[outcome]} {where}")
