# SPDX-License-Identifier: Apache-2.0
"""`pair_assembly`'s inner loop as a `RegisterTile` of pointwise convolutions.

Takes a tile's `Shape`; gives its statement: calls of functions, one for as many pixels as fit the registers.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from tvm import tir

from mnc.compile.templates import assembly_function, pair_assembly
from mnc.compile.templates.assembly_function import VECTOR_BYTES, Assembly
from mnc.compile.templates.pair_assembly import BLOCK, Kernel
from mnc.compile.templates.register_tile import LANES, Shape

PARAMETERS = "ptr %sums, ptr %data, ptr %weights, i64 %blocks, i64 %data_apart"
WEIGHTS_APART = BLOCK * VECTOR_BYTES
VECTOR = f"<{LANES} x i32>"


def vectors(pixels: int, channels: int) -> int:
    """Of sums, of a tile: those in registers at once."""
    return min(pixels, pair_assembly.most_pixels(channels, load=VECTOR_BYTES // 2)) * channels


def name(kernel: Kernel) -> str:
    """Of the function."""
    ahead = f"p{kernel.ahead}" if kernel.ahead else ""
    return f"mnc_pairs_{kernel.load}{ahead}_{kernel.channels}_{kernel.pixels}"


def function(kernel: Kernel) -> str:
    """Adds up blocks of input channels from zero. Arguments: sums (pixels, 16), data, weights, how many
    blocks, and bytes from one block of data to the next.
    """
    x = [f"x{i}" for i in range(pair_assembly.COUNT + 1)]
    made = dict.fromkeys(kernel.results.values(), VECTOR)
    changed = {
        x[pair_assembly.DATA]: ("ptr", "%data"),
        x[pair_assembly.WEIGHTS]: ("ptr", "%weights"),
        x[pair_assembly.COUNT]: ("i64", "%blocks"),
    }
    read = {
        x[pair_assembly.DATA_APART]: ("i64", "%data_apart"),
        x[pair_assembly.WEIGHTS_APART]: ("i64", str(WEIGHTS_APART)),
    }
    scratch = [x[pair_assembly.DATA_STEP], x[pair_assembly.WEIGHTS_STEP]]
    scratch += assembly_function.free(made)
    asm = Assembly(pair_assembly.assembly(kernel), made, changed, read, scratch)
    return assembly_function.define(
        name(kernel), PARAMETERS, [asm.call, *_stores(kernel, asm.result)]
    )


def _stores(kernel: Kernel, result: str) -> Iterator[str]:
    for i, (pixel, channel) in enumerate(kernel.results):
        yield f"%sum{i} = extractvalue {result} %r, {i}"
        yield f"%at{i} = getelementptr i32, ptr %sums, i64 {pixel * BLOCK + channel}"
        yield f"store {VECTOR} %sum{i}, ptr %at{i}, align {VECTOR_BYTES}"


def kernels(shape: Shape, *, ahead: int) -> list[tuple[int, Kernel]]:
    """(first pixel, kernel): as few as hold all sums in registers, of about the same size."""
    most = pair_assembly.most_pixels(shape.channels, load=shape.load)
    return [
        (start, Kernel(shape.channels, end - start, shape.load, ahead))
        for start, end in assembly_function.even_parts(shape.rows * shape.columns, most)
    ]


def body(shape: Shape, ins: Any, out: Any) -> Any:
    """The tile: for each few of its output channels, its pixels."""
    data, weights = ins
    # What the first few output channels read is in the first cache for the others.
    of_pixels = {ahead: kernels(shape, ahead=ahead) for ahead in {0, shape.ahead}}
    builder = tir.ir_builder.create()
    made = dict.fromkeys(kernel for some in of_pixels.values() for _, kernel in some)
    text = "\n".join(map(function, made))
    builder.scope_attr(tir.const(0, "int32"), "pragma_import_llvm", tir.StringImm(text))
    sizes = [tir.Cast("int64", value) for value in (shape.chunks, data.strides[0])]
    for block, first in itertools.product(range(shape.blocks), range(0, BLOCK, shape.channels)):
        by = weights.access_ptr("r", offset=block * weights.strides[0] + first * VECTOR_BYTES)
        for pixel, kernel in of_pixels[0 if block or first else shape.ahead]:
            sums = out.access_ptr("w", offset=block * out.strides[0] + pixel * BLOCK + first)
            numbers = data.access_ptr("r", offset=pixel * BLOCK)
            builder.emit(tir.call_extern("int32", name(kernel), sums, numbers, by, *sizes))
    return builder.get()
