# SPDX-License-Identifier: Apache-2.0
"""`tap_assembly`'s sums as a `DepthwiseTile`.

Takes a tile's `Shape`; gives its statement: calls of functions, one for some pixels of a row.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from tvm import tir

from mnc.compile.templates import assembly_function, blocked, tap_assembly
from mnc.compile.templates.assembly_function import VECTOR_BYTES, Assembly
from mnc.compile.templates.depthwise_tile import BLOCK, LANES, Shape
from mnc.compile.templates.tap_assembly import Kernel

PARAMETERS = "ptr %sums, ptr %data, ptr %weights, i64 %apart"
VECTOR = f"<{LANES} x i32>"


def name(kernel: Kernel) -> str:
    """Of the function."""
    down, across = kernel.taps
    steps = f"{kernel.step}_{kernel.apart}"
    return f"mnc_taps_{kernel.load}_{kernel.pixels}_{down}x{across}_{steps}"


def function(kernel: Kernel) -> str:
    """Arguments: sums (pixels, 16), data, weights, and bytes from a row of taps to the next."""
    rows = [f"x{tap_assembly.ROWS + i}" for i in range(kernel.taps[0])]
    made = dict.fromkeys(kernel.sums, VECTOR)
    read = {
        rows[0]: ("ptr", "%data"),
        f"x{tap_assembly.WEIGHTS}": ("ptr", "%weights"),
        f"x{tap_assembly.APART}": ("i64", "%apart"),
    }
    scratch = [*rows[1:], *assembly_function.free(made)]
    asm = Assembly(tap_assembly.assembly(kernel), made, {}, read, scratch)
    body = [asm.call, *_stores(kernel, asm.result)]
    return assembly_function.define(name(kernel), PARAMETERS, body)


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
    text = "\n".join(map(function, dict.fromkeys(kernel for _, kernel in kernels)))
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
