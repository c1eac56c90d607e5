# SPDX-License-Identifier: Apache-2.0
"""A tile of pixels and output channels over the whole reduction, in registers: a pointwise convolution's
kernel where sums are kept in another form than they are stored in.

`RegisterTile` is the seam to the families of instructions, each in a module of its own. `intrinsic` makes the
TE tensor intrinsic for a tile out of one: a loop over blocks of input channels, then the sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te, tir

from mnc.compile.templates.multiply_add import buffer

BLOCK = 16  # channels, of a number each in a vector of bytes
LANES = 4  # 32-bit numbers in a vector
STACKED_BLOCKS = 15  # of sums, that are on the stack: TVM asks the runtime for 1024 bytes and more


@dataclass(frozen=True)
class Shape:
    """A tile: `blocks` of 16 output channels and `rows` x `columns` pixels over `chunks` blocks of input
    channels; `channels` at once. Loads are of `load` bytes: a Cortex-A53 issues one of 8 beside a
    multiplication. `ahead`: bytes from a pixel to what is prefetched meanwhile; 0: nothing is.
    """

    blocks: int
    rows: int
    columns: int
    chunks: int
    channels: int
    load: int = BLOCK
    ahead: int = 0


@dataclass(frozen=True)
class RegisterTile:
    """The kernel's weights lie in groups of `group` input channels. `halves`: its instructions take halves of
    vectors, so that loads may bring halves. `prefetches`: it can prefetch.

    `vectors` is how many vectors of sums a tile of (pixels, channels) takes. `body` makes the statement of a
    tile's shape, its data and weights, and its sums.
    """

    group: int
    vectors: Callable[[int, int], int]
    body: Callable[[Shape, Any, Any], Any]
    halves: bool = False
    prefetches: bool = False


@dataclass(frozen=True)
class Vectors:
    """A tile in TIR's vectors, which LLVM orders.

    `step` takes vectors of sums before a block of input channels, the pixels' numbers (int8 x 16 each) and
    weights by (first input channel, first output channel), int8 x 16 from there on; it gives the vectors
    after. `finish` makes the sums of the tile out of them: int32 x 4 by pixel and first channel.
    """

    group: int
    vectors: Callable[[int, int], int]
    step: Callable[[Sequence[Any], Sequence[Any], Callable[[int, int], Any]], list[Any]]
    finish: Callable[[Sequence[Any], int, int], dict[tuple[int, int], Any]]

    def tile(self, *, halves: bool = False) -> RegisterTile:
        """The family."""
        return RegisterTile(self.group, self.vectors, self._body, halves)

    def _body(self, shape: Shape, ins: Any, out: Any) -> Any:
        builder = tir.ir_builder.create()
        for block in range(shape.blocks):
            for first in range(0, BLOCK, shape.channels):
                _tile(builder, self, shape, ins, out, block, first)
        return builder.get()


def intrinsic(family: RegisterTile, shape: Shape, *, scope: str) -> Any:
    """Of the sums (blocks, rows, columns, 16) over (chunks, parts, group)."""
    data = te.placeholder((shape.chunks, shape.rows, shape.columns, BLOCK), "int8", name="data")
    parts = BLOCK // family.group
    weights = (shape.blocks, shape.chunks, 1, 1, parts, BLOCK, family.group)
    kernel = te.placeholder(weights, "int8", name="kernel")
    chunk = te.reduce_axis((0, shape.chunks), name="chunk")
    part = te.reduce_axis((0, parts), name="part")
    byte = te.reduce_axis((0, family.group), name="byte")
    sums = te.compute(
        (shape.blocks, shape.rows, shape.columns, BLOCK),
        lambda o, y, x, v: te.sum(
            data[chunk, y, x, part * family.group + byte].astype("int32")
            * kernel[o, chunk, 0, 0, part, v, byte].astype("int32"),
            axis=[chunk, part, byte],
        ),
    )
    binds = {
        data: buffer(data, [te.var("data"), *_rows("data", shape), 1]),
        kernel: buffer(kernel, [*_vars("kernel", 5), family.group, 1]),
        sums: buffer(sums, [te.var("sums"), *_rows("sums", shape), 1], scope=scope),
    }
    return te.decl_tensor_intrin(
        sums.op, lambda ins, outs: family.body(shape, ins, outs[0]), binds=binds
    )


def _rows(name: str, shape: Shape) -> list[Any]:
    """Strides of rows and columns: several rows follow one another, so that pixels are numbered through."""
    return [te.var(f"{name}_row") if shape.rows == 1 else shape.columns * BLOCK, BLOCK]


def _vars(name: str, count: int) -> list[Any]:
    return [te.var(f"{name}{i}") for i in range(count)]


def _tile(
    builder: Any, family: Vectors, shape: Shape, ins: Any, out: Any, block: int, first: int
) -> None:
    pixels = [(y, x) for y in range(shape.rows) for x in range(shape.columns)]
    count = family.vectors(len(pixels), shape.channels)
    kind = f"int32x{LANES}"
    # "global" and small is on the stack, which LLVM keeps in registers; "local" is asked of the runtime.
    kept = builder.allocate("int32", count * LANES, name="kept", scope="global").asobject()
    for i in range(count):
        builder.emit(kept.vstore([i * LANES], tir.const(0, kind)))
    with builder.for_range(0, _unknown(shape.chunks), name="chunk") as chunk:
        before = [kept.vload([i * LANES], kind) for i in range(count)]
        numbers = [_loaded(shape.load, ins[0], [chunk, y, x]) for y, x in pixels]

        def weights(channel: int, v: int) -> Any:
            at = [block, chunk, 0, 0, channel // family.group, first + v]
            return _loaded(shape.load, ins[1], at)

        for i, after in enumerate(family.step(before, numbers, weights)):
            builder.emit(kept.vstore([i * LANES], after))
    done = [kept.vload([i * LANES], kind) for i in range(count)]
    for (pixel, v), value in family.finish(done, len(pixels), shape.channels).items():
        y, x = pixels[pixel]
        builder.emit(out.vstore([block, y, x, first + v], value))


def _loaded(size: int, source: Any, at: list[Any]) -> Any:
    """A vector of bytes from the beginning of the last axis on, by loads of `size`."""
    parts = [source.vload([*at, first], f"int8x{size}") for first in range(0, BLOCK, size)]
    return (
        parts[0] if size == BLOCK else tir.call_intrin(f"int8x{BLOCK}", "tir.vectorcombine", *parts)
    )


def _unknown(count: int) -> Any:
    """`count`, which LLVM is not to know: it unrolls a loop of few steps, and keeps more numbers at once than
    there are registers. A fence is no instruction, and there is one for floats only.
    """
    bits = tir.call_intrin("float32", "tir.reinterpret", tir.const(count, "int32"))
    kept = tir.call_llvm_pure_intrin(
        "float32", "llvm.arithmetic.fence", tir.const(1, "uint32"), bits
    )
    return tir.call_intrin("int32", "tir.reinterpret", kept)
