# SPDX-License-Identifier: Apache-2.0
"""Long sums in half precision, by blocks of channels whose sums each begin at zero and are then added up.

Takes the tensors of a 1x1 convolution of halves and a tile of its output; gives the sums and their schedule.
An addition rounds by a share of the sum so far, so the error grows with how many products were added one
after another: here at most `LONGEST`, and then as many blocks. docs/fp16.md has the errors of each way.
"""

from typing import Any

from tvm import te, tir, topi

from mnc.compile.templates import blocked
from mnc.compile.templates.blocked import LARGEST_HALF as LARGEST

LONGEST = 256  # channels
PARTS = "parts"  # name of the blocks' sums


def block_of(data: Any) -> int:
    """Channels that are added one after another: all of them where these are no halves or few; else the most
    that divide them, up to `LONGEST`, or a little more where only few do.
    """
    chunks, size = int(data.shape[1]), int(data.shape[4])
    if data.dtype != "float16" or chunks * size <= LONGEST:
        return chunks * size
    sizes = [size * d for d in blocked.divisors(chunks, chunks)]
    fit = max(s for s in sizes if s <= LONGEST)
    return fit if 2 * fit > LONGEST else min(s for s in sizes if s > LONGEST)


def product(data: Any, kernel: Any, *, tag: str) -> Any:
    """The sums over the input channels, of (N, I, H, W, i) and (O, I, 1, 1, i, o), without a schedule."""
    batch, in_chunks, height, width, size = topi.utils.get_const_tuple(data.shape)
    out_chunks, out_size = int(kernel.shape[0]), int(kernel.shape[5])
    chunks = block_of(data) // size
    channel = te.reduce_axis((0, chunks * size), name="channel")
    block = te.reduce_axis((0, in_chunks // chunks), name="block")

    def part(n: Any, o: Any, y: Any, x: Any, b: Any, v: Any) -> Any:
        chunk, lane = b * chunks + channel // size, channel % size
        return te.sum(data[n, chunk, y, x, lane] * kernel[o, chunk, 0, 0, lane, v], axis=channel)

    shape = (batch, out_chunks, height, width, out_size)
    parts = te.compute((*shape[:4], in_chunks // chunks, out_size), part, name=PARTS)

    def total(n: Any, o: Any, y: Any, x: Any, v: Any) -> Any:
        return te.sum(within_range(parts[n, o, y, x, block, v]), axis=block)

    return te.compute(shape, total, name="pointwise", tag=tag)


def within_range(part: Any) -> Any:
    """A block's sum, of one half or a vector, finite: of blocks that are Inf with both signs the sum would be
    NaN, where float32 has a number.
    """
    least, most = (tir.const(one, part.dtype) for one in (-LARGEST, LARGEST))
    return te.max(te.min(part, most), least)


def in_parts(sums: Any) -> bool:
    """Whether these are sums of blocks' sums."""
    return bool(sums.op.input_tensors[0].op.name == PARTS)


def schedule(s: Any, sums: Any, *, channels: int, pixels: int) -> Any:
    """Order the loops of `sums` into tiles of vectors of channels by pixels, block by block outside of them;
    returns the stage of a tile's block, which is to be kept in registers.
    """
    (parts,) = sums.op.input_tensors
    stage = s[sums]
    n, o, y, x, v = stage.op.axis
    outer, pixel = stage.split(stage.fuse(y, x), factor=pixels)
    within, tile = stage.split(o, factor=channels)
    (block,) = stage.op.reduce_axis
    stage.reorder(n, block, outer, within, pixel, tile, v)
    stage.vectorize(v)
    stage.unroll(pixel)
    stage.unroll(tile)
    s[parts].set_scope(blocked.tile_scope())
    s[parts].compute_at(stage, within)
    return s[parts]
