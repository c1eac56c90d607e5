# SPDX-License-Identifier: Apache-2.0
"""Kernels that drive one part of a core to its limit, written in TIR.

Takes sizes; gives IRModules of one function main(out, given) over flat float32 buffers: `given` is
shared or split by thread as each kernel says. `mnc.compile.machine.peaks` builds and times them.
"""

from collections.abc import Callable
from typing import Any

import tvm

STREAMS = 8  # independent sums that hide the latency of an addition


def multiply_add(lanes: int, sums: int, threads: int, loops: int) -> Any:
    """`sums` vectors s in registers: s = s * given[:lanes] + given[lanes:], `loops` times a thread.

    `out` has threads * sums * lanes floats.
    """
    kernel = _Kernel(lanes, sums, threads, given=2 * lanes)
    with kernel.build.for_range(0, threads, name="thread", kind="parallel") as thread:
        held = kernel.hold()
        with kernel.build.for_range(0, loops, name="loop"):
            kernel.each(
                lambda i, lane: kernel.put(
                    held, i, held[i] * kernel.given[lane] + _second(kernel, lane)
                )
            )
        kernel.store(held, thread)
    return kernel.module()


def read(lanes: int, floats: int, threads: int, loops: int) -> Any:
    """Add up `floats` floats of each thread's own part of `given`, `loops` times over.

    `floats` must be a multiple of STREAMS * lanes, which is how many floats `out` has a thread.
    """
    kernel = _Kernel(lanes, STREAMS, threads, given=threads * floats)
    step = STREAMS * lanes
    with kernel.build.for_range(0, threads, name="thread", kind="parallel") as thread:
        held = kernel.hold()
        with (
            kernel.build.for_range(0, loops, name="loop"),
            kernel.build.for_range(0, floats // step, name="chunk") as chunk,
        ):
            start = thread * floats + chunk * step
            kernel.each(lambda i, _: kernel.put(held, i, held[i] + kernel.given[start + i]))
        kernel.store(held, thread)
    return kernel.module()


def _second(kernel: "_Kernel", lane: Any) -> Any:
    return kernel.given[kernel.lanes + lane]


class _Kernel:
    """What both kernels share: `sums` vectors kept in registers, written out at the end."""

    def __init__(self, lanes: int, sums: int, threads: int, *, given: int) -> None:
        self.lanes, self.sums = lanes, sums
        self.build = tvm.tir.ir_builder.create()
        self._buffers = [
            tvm.tir.decl_buffer((threads * sums * lanes,), "float32", name="out"),
            tvm.tir.decl_buffer((given,), "float32", name="given"),
        ]
        self._out, self.given = (self.build.buffer_ptr(buffer) for buffer in self._buffers)

    def each(self, do: Callable[[Any, Any], None]) -> None:
        """`do`(place among the sums, lane) for every float, unrolled and a vector at a time."""
        with (
            self.build.for_range(0, self.sums, name="sum", kind="unroll") as i,
            self.build.for_range(0, self.lanes, name="lane", kind="vectorize") as lane,
        ):
            do(i * self.lanes + lane, lane)

    def put(self, held: Any, place: Any, value: Any) -> None:
        """Assign, for use where Python wants an expression."""
        held[place] = value

    def hold(self) -> Any:
        """The sums, begun with the first vector given (half-way numbers: never slow subnormals)."""
        held = self.build.allocate("float32", (self.sums * self.lanes,), name="held", scope="local")
        self.each(lambda i, lane: self.put(held, i, self.given[lane]))
        return held

    def store(self, held: Any, thread: Any) -> None:
        """Write the sums out, or the compiler would drop them."""
        start = thread * (self.sums * self.lanes)
        self.each(lambda i, _: self.put(self._out, start + i, held[i]))

    def module(self) -> Any:
        """The finished IRModule."""
        function = tvm.tir.PrimFunc(self._buffers, self.build.get())
        function = function.with_attr("global_symbol", "main").with_attr("tir.noalias", True)
        return tvm.IRModule({"main": function})
