# SPDX-License-Identifier: Apache-2.0
"""`tap_assembly`'s sums as a `DepthwiseTile`.

Takes a tile's `Shape`; gives its statement: calls of functions, one for some pixels of a row.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from tvm import tir

from mnc.compile.templates import assembly_function, blocked, stored_sums, tap_assembly
from mnc.compile.templates.assembly_function import VECTOR_BYTES, Assembly
from mnc.compile.templates.depthwise_tile import BLOCK, LANES, Shape
from mnc.compile.templates.store_first import PREFIX
from mnc.compile.templates.stored_sums import Bounds
from mnc.compile.templates.tap_assembly import Kernel

PARAMETERS = "ptr %sums, ptr %data, ptr %weights, i64 %apart"
VECTOR = f"<{LANES} x i32>"


def name(kernel: Kernel, bounds: Bounds | None = None) -> str:
    """Of the function."""
    down, across = kernel.taps
    steps = f"{kernel.step}_{kernel.apart}"
    return f"{PREFIX}_{kernel.load}_{kernel.pixels}_{down}x{across}_{steps}{bounds or ''}"


def function(kernel: Kernel, bounds: Bounds | None = None) -> str:
    """Arguments: sums (pixels, 16), data, weights, and bytes from a row of taps to the next. With `bounds`,
    bytes in place of sums, and what makes these (`stored_sums`).
    """
    rows = [f"x{tap_assembly.ROWS + i}" for i in range(kernel.taps[0])]
    made = {} if bounds else dict.fromkeys(kernel.sums, VECTOR)
    read = {
        rows[0]: ("ptr", "%data"),
        f"x{tap_assembly.WEIGHTS}": ("ptr", "%weights"),
        f"x{tap_assembly.APART}": ("i64", "%apart"),
    }
    scratch = [*rows[1:], *assembly_function.free(made)]
    if bounds:
        read |= stored_sums.inputs()
    asm = Assembly(tap_assembly.assembly(kernel, bounds), made, {}, read, scratch)
    body = [asm.call] if bounds else [asm.call, *_stores(kernel, asm.result)]
    parameters = f"{PARAMETERS}, {stored_sums.PARAMETERS}" if bounds else PARAMETERS
    return assembly_function.define(name(kernel, bounds), parameters, body)


def _stores(kernel: Kernel, result: str) -> Iterator[str]:
    for i in range(len(kernel.sums)):
        yield f"%sum{i} = extractvalue {result} %r, {i}"
        yield f"%at{i} = getelementptr i32, ptr %sums, i64 {i * LANES}"
        yield f"store {VECTOR} %sum{i}, ptr %at{i}, align {VECTOR_BYTES}"


def fits(shape: Shape) -> bool:
    """Whether there are registers for the rows."""
    return shape.taps[0] <= tap_assembly.MOST_ROWS


def body(shape: Shape, ins: Any, out: Any) -> Any:
    """The tile, row by row."""
    data, weights = ins
    kernels = _kernels(shape)
    builder = tir.ir_builder.create()
    made = itertools.product(dict.fromkeys(kernel for _, kernel in kernels), (None, *Bounds))
    text = "\n".join(function(*one) for one in made)  # `store_first` chooses
    builder.scope_attr(tir.const(0, "int32"), "pragma_import_llvm", tir.StringImm(text))
    apart = tir.Cast("int64", data.strides[0] * shape.apart[0])
    for row, (column, kernel) in itertools.product(range(shape.rows), kernels):
        at = shape.row(row, 0) * data.strides[0] + shape.column(column, 0) * BLOCK
        sums = out.access_ptr("w", offset=row * out.strides[0] + column * BLOCK)
        numbers = data.access_ptr("r", offset=at)
        arguments = [sums, numbers, weights.access_ptr("r"), apart]
        builder.emit(tir.call_extern("int32", name(kernel), *arguments))
    return builder.get()


def _kernels(shape: Shape) -> list[tuple[int, Kernel]]:
    """(first pixel, kernel) of a row: as few as fit the registers, of about the same size."""
    load = VECTOR_BYTES // 2 if blocked.in_order() else VECTOR_BYTES
    return [
        (start, Kernel(end - start, shape.taps, shape.steps[1], shape.apart[1], load))
        for start, end in assembly_function.even_parts(shape.columns, tap_assembly.MOST_PIXELS)
    ]
