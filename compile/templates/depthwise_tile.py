# SPDX-License-Identifier: Apache-2.0
"""A tile of pixels of a depthwise convolution over all taps, in registers, on 16 channels of 8 bits.

`DepthwiseTile` is the seam to the families of instructions, each in a module of its own; `intrinsic` makes
the TE tensor intrinsic for a tile out of one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import te, tir

from mnc.compile.templates.multiply_add import buffer

BLOCK = 16  # channels, of a number each in a vector of bytes
LANES = 4  # 32-bit numbers in a vector


@dataclass(frozen=True)
class Shape:
    """`rows` x `columns` output pixels, each from `taps` (down, across) that lie `apart`, `steps` further for
    the next pixel. `whole`: these are all columns of the output.
    """

    rows: int
    columns: int
    taps: tuple[int, int]
    steps: tuple[int, int]
    apart: tuple[int, int]
    whole: bool = False

    @property
    def source(self) -> tuple[int, int]:
        """Rows and columns that are read."""
        down, across = (
            (count - 1) * step + (taps - 1) * apart + 1
            for count, step, taps, apart in zip(
                (self.rows, self.columns), self.steps, self.taps, self.apart, strict=True
            )
        )
        return down, across

    def row(self, y: Any, tap: Any) -> Any:
        """That a tap of an output row reads."""
        return y * self.steps[0] + tap * self.apart[0]

    def column(self, x: Any, tap: Any) -> Any:
        """That a tap of an output column reads."""
        return x * self.steps[1] + tap * self.apart[1]


# Bytes (int8 x 16) at a row and a column.
At = Callable[[int, int], Any]
# Sums (int32 x 4) by row, column and first channel, of a shape, numbers and weights.
Vectors = Callable[[Shape, At, At], dict[tuple[int, int, int], Any]]


@dataclass(frozen=True)
class DepthwiseTile:
    """`body` makes the statement of a tile's shape, its data and weights, and its sums. `pixels`: of an
    untuned tile, at least. `slides`: whether it has of such a tile only what some columns need in registers.
    """

    body: Callable[[Shape, Any, Any], Any]
    pixels: int
    slides: Callable[[Shape], bool] = lambda _shape: False


def in_vectors(family: Vectors) -> Callable[[Shape, Any, Any], Any]:
    """A body in TIR's vectors, which LLVM orders: it keeps the products of more pixels at once than fit."""

    def body(shape: Shape, ins: Any, out: Any) -> Any:
        builder = tir.ir_builder.create()
        made = family(
            shape,
            lambda y, x: ins[0].vload([y, x, 0], f"int8x{BLOCK}"),
            lambda y, x: ins[1].vload([0, y, x, 0, 0], f"int8x{BLOCK}"),
        )
        for at, value in made.items():
            builder.emit(out.vstore(list(at), value))
        return builder.get()

    return body


def intrinsic(family: DepthwiseTile, shape: Shape, *, scope: str) -> Any:
    """Of the sums (rows, columns, 16) over the taps."""
    data = te.placeholder((*shape.source, BLOCK), "int8", name="data")
    kernel = te.placeholder((1, *shape.taps, 1, BLOCK), "int8", name="kernel")
    down = te.reduce_axis((0, shape.taps[0]), name="down")
    across = te.reduce_axis((0, shape.taps[1]), name="across")

    def tap(y: Any, x: Any, v: Any) -> Any:
        number = data[shape.row(y, down), shape.column(x, across), v]
        weight = kernel[0, down, across, 0, v]
        return te.sum(number.astype("int32") * weight.astype("int32"), axis=[down, across])

    sums = te.compute((shape.rows, shape.columns, BLOCK), tap)
    binds = {
        data: buffer(data, [te.var("data_row"), BLOCK, 1]),
        kernel: buffer(kernel, [te.var("kernel"), shape.taps[1] * BLOCK, BLOCK, BLOCK, 1]),
        sums: buffer(sums, [te.var("sums_row"), BLOCK, 1], scope=scope),
    }

    return te.decl_tensor_intrin(
        sums.op, lambda ins, outs: family.body(shape, ins, outs[0]), binds=binds
    )
