# SPDX-License-Identifier: Apache-2.0
"""`dot_assembly`'s sums as a `DepthwiseTile`.

Takes a tile's `Shape`; gives its statement: calls of functions, one for a row, or for all where they lie one
behind another.
"""

from typing import Any

from tvm import tir

from mnc.compile.templates import assembly_function, dot_assembly, store_first, stored_sums
from mnc.compile.templates.assembly_function import Assembly
from mnc.compile.templates.depthwise_tile import Shape
from mnc.compile.templates.dot_assembly import Kernel
from mnc.compile.templates.stored_sums import Bounds

PREFIX = f"{store_first.PREFIX}_dot"
PARAMETERS = "ptr %sums, ptr %data, ptr %weights, i64 %apart"


def name(kernel: Kernel, bounds: Bounds | None = None) -> str:
    """Of the function."""
    sizes = (kernel.rows, kernel.pixels), kernel.taps, kernel.steps
    return "_".join([PREFIX, *(f"{down}x{across}" for down, across in sizes)]) + (bounds or "")


def function(kernel: Kernel, bounds: Bounds | None = None) -> str:
    """Arguments: sums (rows, pixels, 16), data, weights, and bytes from a source row to the next. With
    `bounds`, bytes in place of sums, and what makes these (`stored_sums`).
    """
    read = {
        f"x{dot_assembly.DATA}": ("ptr", "%data"),
        f"x{dot_assembly.WEIGHTS}": ("ptr", "%weights"),
        f"x{dot_assembly.APART}": ("i64", "%apart"),
        **(stored_sums.inputs() if bounds else {f"x{stored_sums.OUT}": ("ptr", "%sums")}),
    }
    numbers = [dot_assembly.COUNT, dot_assembly.PLACE]
    numbers += [dot_assembly.ROWS + i for i in range(kernel.taps[0])]
    scratch = [*(f"x{one}" for one in numbers), *assembly_function.free([])]
    asm = Assembly(dot_assembly.assembly(kernel, bounds), {}, {}, read, scratch)
    parameters = f"{PARAMETERS}, {stored_sums.PARAMETERS}" if bounds else PARAMETERS
    return assembly_function.define(name(kernel, bounds), parameters, [asm.call])


def fits(shape: Shape) -> bool:
    """Whether there are registers for the taps, side by side, and offsets for a row."""
    down, across = shape.taps
    return (
        dot_assembly.LEAST_DOWN <= down <= dot_assembly.MOST_DOWN
        and across <= dot_assembly.MOST_ACROSS
        and shape.apart == (1, 1)
        and shape.columns <= dot_assembly.MOST_PIXELS
    )


def body(shape: Shape, ins: Any, out: Any) -> Any:
    """The tile, all rows at once where its sums have nothing between them."""
    data, weights = ins
    together = shape.rows if shape.whole else 1
    kernel = Kernel(together, shape.columns, shape.taps, shape.steps)
    builder = tir.ir_builder.create()
    text = "\n".join(
        function(kernel, bounds) for bounds in (None, *Bounds)
    )  # `store_first` chooses
    builder.scope_attr(tir.const(0, "int32"), "pragma_import_llvm", tir.StringImm(text))
    apart = tir.Cast("int64", data.strides[0])
    for row in range(0, shape.rows, together):
        sums = out.access_ptr("w", offset=row * out.strides[0])
        numbers = data.access_ptr("r", offset=shape.row(row, 0) * data.strides[0])
        arguments = [sums, numbers, weights.access_ptr("r"), apart]
        builder.emit(tir.call_extern("int32", name(kernel), *arguments))
    return builder.get()
