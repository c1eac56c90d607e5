# SPDX-License-Identifier: Apache-2.0
"""`image_assembly`'s sums as TIR: the tensor intrinsic of a tile of output channels and pixels of a row.

Takes a tile's `Shape`; its statement calls functions, one for as many channels and pixels as fit the
registers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvm import te, tir

from mnc.compile.templates import assembly_function, blocked, image_assembly
from mnc.compile.templates.assembly_function import VECTOR_BYTES, Assembly
from mnc.compile.templates.image_assembly import BLOCK, LANES, Kernel
from mnc.compile.templates.multiply_add import buffer
from mnc.compile.templates.packed_image import PAIR

PARAMETERS = "ptr %sums, ptr %data, ptr %weights, i64 %apart, i64 %sums_apart"
VECTOR = f"<{LANES} x i32>"
SUM = 4  # bytes
MOST_BLOCKS = 2  # at once


@dataclass(frozen=True)
class Shape:
    """`blocks` of 16 output channels by `columns` pixels of a row, from `taps` (rows, pairs of bytes) of an
    image, `step` pairs apart.
    """

    blocks: int
    columns: int
    taps: tuple[int, int]
    step: int


def name(kernel: Kernel) -> str:
    """Of the function."""
    down, across = kernel.taps
    return f"mnc_image_{kernel.load}_{kernel.blocks}x{kernel.pixels}_{down}x{across}_{kernel.step}"


def function(kernel: Kernel) -> str:
    """Arguments: sums (pixels, 16) by block, data, weights, and bytes from a row of the image, and of a
    block of sums, to the next.
    """
    pixels = [f"x{image_assembly.PIXELS + i}" for i in range(kernel.pixels)]
    made = dict.fromkeys(kernel.sums, VECTOR)
    changed = {pixels[0]: ("ptr", "%data")}
    read = {
        f"x{image_assembly.WEIGHTS}": ("ptr", "%weights"),
        f"x{image_assembly.APART}": ("i64", "%next"),
    }
    scratch = [*pixels[1:], *assembly_function.free(made)]
    asm = Assembly(image_assembly.assembly(kernel), made, changed, read, scratch)
    across = f"%next = sub i64 %apart, {PAIR * (kernel.taps[1] - 1)}"
    body = [across, asm.call, *_stores(kernel, asm.result)]
    return assembly_function.define(name(kernel), PARAMETERS, body)


def _stores(kernel: Kernel, result: str) -> Iterator[str]:
    a_block = len(kernel.sums) // kernel.blocks
    for block in range(kernel.blocks):
        yield f"%apart{block} = mul i64 %sums_apart, {block}"
        yield f"%block{block} = getelementptr i8, ptr %sums, i64 %apart{block}"
        for i in range(block * a_block, (block + 1) * a_block):
            yield f"%sum{i} = extractvalue {result} %r, {i}"
            at = f"ptr %block{block}, i64 {i % a_block * LANES}"
            yield f"%at{i} = getelementptr i32, {at}"
            yield f"store {VECTOR} %sum{i}, ptr %at{i}, align {VECTOR_BYTES}"


def kernels(shape: Shape) -> list[tuple[int, int, Kernel]]:
    """(first block, first pixel, kernel)."""
    load = VECTOR_BYTES // 2 if blocked.in_order() else VECTOR_BYTES
    made = []
    for block, end in assembly_function.even_parts(shape.blocks, MOST_BLOCKS):
        most = image_assembly.most_pixels(end - block)
        for first, last in assembly_function.even_parts(shape.columns, most):
            kernel = Kernel(end - block, last - first, shape.taps, shape.step, load)
            made.append((block, first, kernel))
    return made


def body(shape: Shape, ins: Any, out: Any) -> Any:
    """The tile."""
    data, weights = ins
    of_tile = kernels(shape)
    builder = tir.ir_builder.create()
    text = "\n".join(map(function, dict.fromkeys(kernel for *_, kernel in of_tile)))
    builder.scope_attr(tir.const(0, "int32"), "pragma_import_llvm", tir.StringImm(text))
    apart = [tir.Cast("int64", one) for one in (data.strides[0], out.strides[0] * SUM)]
    for block, pixel, kernel in of_tile:
        sums = out.access_ptr("w", offset=block * out.strides[0] + pixel * BLOCK)
        numbers = data.access_ptr("r", offset=pixel * shape.step * PAIR)
        by = weights.access_ptr("r", offset=block * weights.strides[0])
        builder.emit(tir.call_extern("int32", name(kernel), sums, numbers, by, *apart))
    return builder.get()


def intrinsic(shape: Shape, *, scope: str) -> Any:
    """Of the sums (blocks, 1, columns, 16) over (rows, pairs, 2)."""
    down, across = shape.taps
    source = (down, (shape.columns - 1) * shape.step + across, PAIR)
    data = te.placeholder(source, "int8", name="data")
    kernel = te.placeholder((shape.blocks, 1, down, across, 1, BLOCK, PAIR), "int8", name="kernel")
    rows = te.reduce_axis((0, down), name="down")
    pairs = te.reduce_axis((0, across), name="across")
    byte = te.reduce_axis((0, PAIR), name="byte")

    def tap(o: Any, _: Any, x: Any, v: Any) -> Any:
        number = data[rows, x * shape.step + pairs, byte]
        weight = kernel[o, 0, rows, pairs, 0, v, byte]
        axes = [rows, pairs, byte]
        return te.sum(number.astype("int32") * weight.astype("int32"), axis=axes)

    sums = te.compute((shape.blocks, 1, shape.columns, BLOCK), tap)
    of_pairs = BLOCK * PAIR
    apart = [te.var("kernel"), te.var("chunk"), across * of_pairs, of_pairs, of_pairs, PAIR, 1]
    binds = {
        data: buffer(data, [te.var("data_row"), PAIR, 1]),
        kernel: buffer(kernel, apart),
        sums: buffer(sums, [te.var("sums_block"), te.var("sums_row"), BLOCK, 1], scope=scope),
    }
    return te.decl_tensor_intrin(sums.op, lambda ins, outs: body(shape, ins, outs[0]), binds=binds)
