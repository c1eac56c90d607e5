# SPDX-License-Identifier: Apache-2.0
"""A CPU's vector multiply-add of 8-bit numbers with 32-bit sums, whatever instructions it is made of.

`MultiplyAdd` is the seam between the integer templates and the families of instructions, each in a module of
its own: it says how many sums there are and how many products go into each at once. `step` makes the TE
tensor intrinsic for a step of a reduction out of one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import te, tir


@dataclass(frozen=True)
class MultiplyAdd:
    """`lanes` sums, `group` products of a number of type `data` and an int8 weight into each.

    Numbers come as they are or, where that spares a step, as `wide`, made once for a tile.
    `emit` takes the sums before (int32 x lanes), numbers and weights (both lanes x group of them, those of a
    sum side by side) and gives the sums after, as TIR vectors. Where `largest_pair` is not 0, it is
    exact only for weights whose neighbours, the first two and the next two of a group, have sums up to it.
    """

    lanes: int
    group: int
    data: str
    emit: Callable[[Any, Any, Any], Any]
    wide: str = ""
    largest_pair: int = 0


def step(found: MultiplyAdd, block: int, data: str, *, scope: str) -> Any:
    """The tensor intrinsic of `group` input channels of a pixel, of type `data` and the same for all `block`
    output channels, times weights (block, group).
    """
    pixels = te.placeholder((found.group,), dtype=data, name="bytes")
    weights = te.placeholder((block, found.group), dtype="int8", name="weights")
    byte = te.reduce_axis((0, found.group), name="byte")
    sums = te.compute(
        (block,),
        lambda v: te.sum(
            pixels[byte].astype("int32") * weights[v, byte].astype("int32"), axis=byte
        ),
    )
    buffers = {
        pixels: buffer(
            pixels, [te.var("apart")], scope="global" if data == found.data else "local"
        ),
        weights: buffer(weights, [te.var("row"), 1]),
        sums: buffer(sums, [1], scope=scope),
    }

    def part(ins: Any, at: int) -> tuple[Any, Any]:
        pixel = spread(ins[0].vload([0], f"{data}x{found.group}"), found.lanes)
        return pixel, ins[1].vload([at, 0], f"int8x{found.group * found.lanes}")

    return te.decl_tensor_intrin(sums.op, emitter(found, block, part), binds=buffers)


def columns(found: MultiplyAdd, block: int, *, scope: str) -> Any:
    """The tensor intrinsic of `group` neighbouring pixels of a block of channels, each channel times the
    weights in its word: uint32 for a group of four, uint16 of two.
    """
    kind = f"uint{8 * found.group}"
    pixels = te.placeholder((found.group, block), dtype=found.data, name="bytes")
    words = te.placeholder((block,), dtype=kind, name="words")
    byte = te.reduce_axis((0, found.group), name="byte")
    sums = te.compute(
        (block,),
        lambda v: te.sum(
            pixels[byte, v].astype("int32") * byte_of(words[v], byte).astype("int32"), axis=byte
        ),
    )
    buffers = {
        pixels: buffer(pixels, [block, 1]),
        words: buffer(words, [1]),
        sums: buffer(sums, [1], scope=scope),
    }

    def part(ins: Any, at: int) -> tuple[Any, Any]:
        whole = ins[0].vload([0, 0], f"{found.data}x{found.group * block}")
        order = [at + lane + block * j for lane in range(found.lanes) for j in range(found.group)]
        weights = ins[1].vload([at], f"{kind}x{found.lanes}")
        as_bytes = f"int8x{found.group * found.lanes}"
        return tir.Shuffle([whole], order), tir.call_intrin(as_bytes, "tir.reinterpret", weights)

    return te.decl_tensor_intrin(sums.op, emitter(found, block, part), binds=buffers)


def byte_of(word: Any, byte: Any) -> Any:
    """A signed byte of a word, the lowest first."""
    return (word >> (8 * byte).astype(word.dtype)).astype("int8")


def buffer(tensor: Any, strides: list[Any], **more: Any) -> Any:
    """A tensor intrinsic's view of a tensor."""
    return tir.decl_buffer(tensor.shape, tensor.dtype, offset_factor=1, strides=strides, **more)


def spread(few: Any, times: int) -> Any:
    """A vector of few numbers, 32 bits or less in all, repeated."""
    kind, count = few.dtype.split("x")[0], int(few.dtype.split("x")[1])
    bits = tvm.DataType(kind).bits * count
    word = tir.call_intrin(f"int{bits}", "tir.reinterpret", few)
    return tir.call_intrin(f"{kind}x{count * times}", "tir.reinterpret", tir.Broadcast(word, times))


def emitter(found: MultiplyAdd, block: int, part: Callable[[Any, int], tuple[Any, Any]]) -> Any:
    """(first step, zeros, further step) of `block` sums; `part` gives numbers and weights from a sum on."""
    kind = f"int32x{found.lanes}"

    def stores(out: Any, value: Callable[[int], Any]) -> Any:
        builder = tir.ir_builder.create()
        for at in range(0, block, found.lanes):
            builder.emit(out.vstore([at], value(at)))
        return builder.get()

    def emit(ins: Any, outs: Any) -> tuple[Any, Any, Any]:
        (out,), zero = outs, tir.const(0, kind)
        return (
            stores(out, lambda at: found.emit(zero, *part(ins, at))),
            stores(out, lambda _: zero),
            stores(out, lambda at: found.emit(out.vload([at], kind), *part(ins, at))),
        )

    return emit
