# SPDX-License-Identifier: Apache-2.0
"""The 1x1 convolution on AArch64: tiles of `lane_tile`, each over all input channels.

Takes the tensors and the loops around a tile that `pointwise` has; gives the sums, knobs of its own and the
schedule.
"""

from collections.abc import Callable
from typing import Any

from tvm import te, topi

from mnc.compile.templates import assembly_function, blocked, half_sums, lane_assembly, lane_tile

CHANNELS = (1, 2, 4)  # vectors of output channels in a tile
KERNELS = 8  # that a tile is made of at most: pixels that one takes need not divide a row
LEAST = 12  # sums in registers, where the map has so many: fewer wait for one another


def product(data: Any, kernel: Any, *, tag: str) -> Any:
    """The sums over the input channels, blocks and the channels of one apart."""
    batch, in_chunks, height, width, in_block = topi.utils.get_const_tuple(data.shape)
    out_chunks, _, _, _, _, out_block = topi.utils.get_const_tuple(kernel.shape)
    chunk = te.reduce_axis((0, in_chunks), name="chunk")
    channel = te.reduce_axis((0, in_block), name="channel")
    return te.compute(
        (batch, out_chunks, height, width, out_block),
        lambda n, o, y, x, v: te.sum(
            data[n, chunk, y, x, channel] * kernel[o, chunk, 0, 0, channel, v],
            axis=[chunk, channel],
        ),
        name="pointwise",
        tag=tag,
    )


def maps_outweigh(out_chunks: int, height: int, width: int) -> bool:
    """Whether a layer reads more of its map than of its weights: tiles of pixels are then best outside, so
    that the map is read once.
    """
    return height * width > 4 * out_chunks


def define_tile(cfg: Any, out_chunks: int, height: int, width: int) -> Callable[[Any], bool]:
    """Knobs of the tile and of its kernels; gives which configs are worth a trial.

    `lanes` input channels are loaded at once: few of them by cores whose loads are of 64 bits. `prefetch` is
    for those whose own prefetchers do not follow blocks of channels.
    """
    most = KERNELS * lane_assembly.most_pixels(1, lanes=2)
    tile_oc = [c for c in CHANNELS if out_chunks % c == 0]
    rows = [width * r for r in blocked.divisors(height, height)]
    tile_p = sorted({t for t in [*blocked.divisors(width, width), *rows] if t <= most})
    least = min(LEAST, tile_oc[-1] * tile_p[-1])
    at_once = most // KERNELS if maps_outweigh(out_chunks, height, width) else most
    pixels = max(t for t in tile_p if t <= at_once)
    if tile_oc[-1] * pixels < least:
        pixels = min(t for t in tile_p if tile_oc[-1] * t >= least)
    blocked.knob(cfg, "tile_oc", tile_oc, min(c for c in tile_oc if c * pixels >= least))
    blocked.knob(cfg, "tile_p", tile_p, pixels)
    blocked.knob(cfg, "lanes", [2, 4], 2 if blocked.in_order() else 4)
    blocked.knob(cfg, "prefetch", [0, 1], 1)
    return lambda e: e["tile_oc"].val * e["tile_p"].val >= least


def schedule(s: Any, accumulator: Any, convolution: Any, cfg: Any, output: Any, inner: Any) -> None:
    """Put the sums at a tile of the output, axis `inner`."""
    data = convolution.op.input_tensors[0]
    _, chunks, height, width, block = topi.utils.get_const_tuple(data.shape)
    apart = height * width * assembly_function.VECTOR_BYTES
    stage, pixels = s[accumulator], cfg["tile_p"].val
    at_once = half_sums.block_of(data) // block
    ahead, near = lane_tile.prefetches(apart, chunks) if cfg["prefetch"].val else (0, 0)
    # "local" would be asked of the runtime however small.
    stage.set_scope("global")
    stage.compute_at(s[output], inner)
    _, o, y, x, v = stage.op.axis
    stage.reorder(o, y, x, v, *stage.op.reduce_axis)
    tile = lane_tile.Tile(
        channels=cfg["tile_oc"].val,
        rows=max(1, pixels // width),
        columns=min(pixels, width),
        blocks=chunks,
        at_once=at_once,
        lanes=cfg["lanes"].val,
        ahead=ahead,
        apart=near,
    )
    stage.tensorize(o, lane_tile.intrinsic(tile, convolution.dtype, scope="global"))
