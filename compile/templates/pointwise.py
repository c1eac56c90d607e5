# SPDX-License-Identifier: Apache-2.0
"""Template of the 1x1 convolution: a register-tiled GEMM over packed weights.

A tile of `tile_oc` vectors of output channels times `tile_p` pixels stays in registers over the whole
reduction. Each step loads `tile_oc` weight vectors, then for every pixel broadcasts one input value and uses
it `tile_oc` times at once: accumulators + tile_oc + 1 registers, so the tile can fill the register file
without a spill. (With the two loops the other way round LLVM keeps all broadcasts alive and spills.)
The classifier is the same kernel with a single pixel. After Goto and van de Geijn, "Anatomy of
High-Performance Matrix Multiplication" (ACM TOMS 2008), with the packing done once at compile time.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import blocked, half_sums, lane_pointwise, lane_tile

NAME = "pointwise_NCHWc.mnc"
TAG = "mnc_pointwise"
# Values of knob `order`: output channels outside, pixels inside; the other way round; blocks of rows, which
# the cores share out (see `depthwise`), then output channels, then pixels.
CHANNEL_OUTER, PIXEL_OUTER, ROW_BLOCKS = 0, 1, 2
SLABS = [1, 2, 4, 8, 16]
DEFAULT_SLAB = 4
ROWS = 3  # of weights that an untuned classifier reads at once on ARM


@autotvm.register_topi_compute(NAME)  # type: ignore[untyped-decorator]
def compute(
    cfg: Any,
    data: Any,
    kernel: Any,
    strides: Any,
    padding: Any,
    dilation: Any,
    layout: str,
    out_layout: str,
    out_dtype: str,
) -> Any:
    """1x1, stride 1, no padding: data (N, I, H, W, i), kernel (O, I, 1, 1, i, o) -> (N, O, H, W, o)."""
    _, in_chunks, height, width, in_block = topi.utils.get_const_tuple(data.shape)
    out_chunks = int(kernel.shape[0])
    part = half_sums.block_of(data)
    by_lanes = lane_tile.possible(data, kernel) and height * width > 1
    _define_space(
        cfg,
        out_chunks,
        height,
        width,
        in_chunks,
        in_block,
        dtype=data.dtype,
        part=part,
        by_lanes=by_lanes,
    )
    made_by = lane_pointwise.product if "lanes" in cfg else product
    return made_by(data, kernel, tag=TAG)


def product(data: Any, kernel: Any, *, tag: str) -> Any:
    """The sums over the input channels, without a schedule."""
    if half_sums.block_of(data) < int(data.shape[1]) * int(data.shape[4]):
        return half_sums.product(data, kernel, tag=tag)
    batch, in_chunks, height, width, in_block = topi.utils.get_const_tuple(data.shape)
    out_chunks, _, _, _, _, out_block = topi.utils.get_const_tuple(kernel.shape)
    channel = te.reduce_axis((0, in_chunks * in_block), name="channel")
    return te.compute(
        (batch, out_chunks, height, width, out_block),
        lambda n, o, y, x, v: te.sum(
            data[n, channel // in_block, y, x, channel % in_block]
            * kernel[o, channel // in_block, 0, 0, channel % in_block, v],
            axis=channel,
        ),
        name="pointwise",
        tag=tag,
    )


def unrolls(in_block: int) -> list[int]:
    """Steps of the reduction that may be written out."""
    return [u for u in (1, 2, 4, 8) if in_block % u == 0]


def default_unroll(in_block: int, dtype: str) -> int:
    """All of a block of halves: with a part of one LLVM works out where each number is, and spills."""
    return max(unrolls(in_block)) if blocked.by_element(dtype) else min(4, in_block)


def _define_space(
    cfg: Any,
    out_chunks: int,
    height: int,
    width: int,
    in_chunks: int,
    in_block: int,
    *,
    dtype: str,
    part: int,
    by_lanes: bool,
) -> None:
    """Knobs, pruned to what the registers hold and to tiles of whole rows or divisors of a row. `part` is how
    many channels are added one after another.
    """
    if by_lanes:
        good = lane_pointwise.define_tile(cfg, out_chunks, height, width)
    else:
        good = _define_tile(cfg, out_chunks, height, width, in_block, dtype=dtype)
    blocks = blocked.row_blocks(height)
    orders = [PIXEL_OUTER] if height * width > 1 else []
    orders += [ROW_BLOCKS] if blocks > 1 else []
    keep = blocked.keeps_rows(height)
    whole = keep and height // blocks * width % cfg["tile_p"].val == 0 if cfg.is_fallback else keep
    pixels_first = keep or (by_lanes and lane_pointwise.maps_outweigh(out_chunks, height, width))
    default = ROW_BLOCKS if whole else PIXEL_OUTER if pixels_first else CHANNEL_OUTER
    blocked.knob(cfg, "order", [CHANNEL_OUTER, *orders], default)
    # Channels of a reduction block: 0 is all at once; smaller blocks keep the weights' slab in L1.
    sizes = () if by_lanes else (64, 128, 256)
    chunks = [c for c in sizes if c % in_block == 0 and in_chunks * in_block > c]
    divide = [c for c in chunks if (in_chunks * in_block) % c == 0]
    if part < in_chunks * in_block and not by_lanes:
        divide = [part]
    in_slabs = blocked.on_arm() and bool(divide) and height * width > 1
    blocked.knob(cfg, "block_k", [0, *divide], divide[0] if in_slabs else 0)
    cores = blocked.cores()
    if blocked.on_arm():  # elsewhere the logs know no such knob
        slabs = SLABS if in_slabs else [1]
        blocked.knob(cfg, "slab", slabs, _default_slab(cfg, slabs, out_chunks, cores))

    def keeps_cores_busy(e: Any) -> bool:
        steps = out_chunks // (e["tile_oc"].val * _slab(e))
        if e["order"].val == ROW_BLOCKS:
            steps *= blocks
        elif not e["block_k"].val:
            return True  # each register tile is a step
        return blocked.balanced(steps, cores)

    cfg.multi_filter(
        filter=lambda e: (
            good(e)
            and keeps_cores_busy(e)
            and not (keep and e["order"].val == CHANNEL_OUTER)
            and not (e["block_k"].val and e["order"].val == PIXEL_OUTER)
            and (e["block_k"].val or _slab(e) == 1)
            and out_chunks % (e["tile_oc"].val * _slab(e)) == 0
            and (e["order"].val != ROW_BLOCKS or height // blocks * width % e["tile_p"].val == 0)
        )
    )


def _define_tile(
    cfg: Any, out_chunks: int, height: int, width: int, in_block: int, *, dtype: str
) -> Callable[[Any], bool]:
    """Register tiles, and the steps of the reduction that are written out; gives which are worth a trial."""
    registers = blocked.vector_registers()
    if height * width == 1 and blocked.on_arm():
        good = _one_pixel(cfg, blocked.divisors(out_chunks, registers - 2))
    else:
        tile_p = pixel_tiles(height, width, registers)
        tile_oc = blocked.divisors(out_chunks, 8 if height * width > 1 else registers - 2)
        good = blocked.tile_knobs(cfg, ("tile_oc", tile_oc), ("tile_p", tile_p))
    unroll = default_unroll(in_block, dtype) if height * width > 1 else min(4, in_block)
    blocked.knob(cfg, "unroll", unrolls(in_block), unroll)
    return lambda e: (e["tile_oc"].val, e["tile_p"].val) in good


def _one_pixel(cfg: Any, tile_oc: Sequence[int]) -> list[tuple[int, int]]:
    """Knobs of the tile of a classifier: each weight is met once, so memory decides and not how many sums
    there are. Where there are 1,024 inputs a tile's rows of weights lie as far apart as a way of L1 is long
    (16 KiB on a Cortex-A76), and push each other out when there are more of them than ways.
    """
    blocked.knob(cfg, "tile_oc", tile_oc, max(oc for oc in tile_oc if oc <= ROWS))
    blocked.knob(cfg, "tile_p", [1], 1)
    return [(oc, 1) for oc in tile_oc]


def _default_slab(cfg: Any, slabs: Sequence[int], out_chunks: int, cores: int) -> int:
    """The largest that keeps all cores busy, up to DEFAULT_SLAB: more weights would push the input out."""
    if not cfg.is_fallback:
        return 1
    tile = cfg["tile_oc"].val
    fit = [s for s in slabs if s <= DEFAULT_SLAB and out_chunks % (tile * s) == 0]
    return max((s for s in fit if blocked.balanced(out_chunks // (tile * s), cores)), default=1)


def _slab(cfg: Any) -> int:
    """Register tiles of output channels that use a block of the input while it is in L1, one after another.

    A core with little L1 (32 KiB in two ways on a Cortex-A72) finds its input in L2 at every tile otherwise:
    512 -> 512 channels at 14x14 in 0.93 of the time on an RK3399 by the core model. This and `block_k` are
    the blocks of Goto and van de Geijn.
    """
    try:
        return int(cfg["slab"].val)
    except KeyError:
        return 1


def pixel_tiles(height: int, width: int, registers: int) -> list[int]:
    """Tiles that TE can place on the fused pixel axis: divisors of a row, or several whole rows."""
    rows = [width * r for r in blocked.divisors(height, height)]
    return sorted({t for t in [*blocked.divisors(width, width), *rows] if t < registers - 1})


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """Register tile outside, reduction inside; bias, activation and residual in the store of the tile."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        tiles = tile_output(s, output, cfg)
        if half_sums.in_parts(convolution):
            s[accumulator].set_scope("global")
            s[accumulator].compute_at(s[output], tiles[0 if cfg["block_k"].val else 1])
            sum_in_registers(s, accumulator, cfg)
        elif "lanes" in cfg:
            lane_pointwise.schedule(s, accumulator, convolution, cfg, output, tiles[1])
        elif cfg["block_k"].val:
            _accumulate_in_slab(s, accumulator, convolution, tiles, cfg, output)
        else:
            _accumulate_in_registers(s, accumulator, tiles, cfg, output)

    return blocked.schedule_convolution(outs, one, tag=TAG)


def tile_output(s: Any, output: Any, cfg: Any) -> tuple[Any, Any]:
    """Tile and vectorize the output; returns the parallel axis and the axis of one register tile."""
    n, o, y, x, v = s[output].op.axis
    order = cfg["order"].val
    if order == ROW_BLOCKS:
        n, y = blocked.split_rows(s[output], n, o, y)
    o_outer, o_inner = s[output].split(o, factor=cfg["tile_oc"].val)
    p_outer, p_inner = s[output].split(s[output].fuse(y, x), factor=cfg["tile_p"].val)
    outer, inner = (p_outer, o_outer) if order == PIXEL_OUTER else (o_outer, p_outer)
    if (slab := _slab(cfg)) > 1:
        outer, within = s[output].split(o_outer, factor=slab)
        s[output].reorder(n, outer, within, inner, p_inner, o_inner, v)
    else:
        s[output].reorder(n, outer, inner, p_inner, o_inner, v)
    s[output].vectorize(v)
    if cfg["tile_p"].val < blocked.vector_registers():
        s[output].unroll(p_inner)
    s[output].unroll(o_inner)
    parallel = s[output].fuse(n, outer)
    if not cfg["block_k"].val and order != ROW_BLOCKS:
        parallel = inner = s[output].fuse(parallel, inner)
    s[output].parallel(parallel)
    return parallel, inner


def _accumulate_in_registers(
    s: Any, accumulator: Any, tiles: tuple[Any, Any], cfg: Any, output: Any
) -> None:
    s[accumulator].compute_at(s[output], tiles[1])
    sum_in_registers(s, accumulator, cfg)


def sum_in_registers(s: Any, sums: Any, cfg: Any) -> None:
    """Schedule the sums of a register tile, or those of a slab by blocks of input channels in such tiles."""
    stage = s[sums]
    if half_sums.in_parts(sums):
        tile = {"channels": cfg["tile_oc"].val, "pixels": cfg["tile_p"].val}
        stage = half_sums.schedule(s, sums, **tile)
    block = int(stage.op.input_tensors[0].shape[4])
    reduce_in_registers(stage, block, unroll=cfg["unroll"].val)


def reduce_in_registers(stage: Any, block: int, *, unroll: int) -> None:
    """Order the loops of a register tile: the reduction outside, then pixels, then output channels.

    `block` is the input's channel block; `unroll` steps of the reduction are written out.
    """
    _, o, y, x, *_, v = stage.op.axis
    pixel = stage.fuse(y, x)
    (channel,) = stage.op.reduce_axis
    chunk, rest = stage.split(channel, factor=block)
    rest, unrolled = stage.split(rest, factor=unroll)
    stage.reorder(chunk, rest, unrolled, pixel, o, v)
    _unroll_and_vectorize(stage, (unrolled, pixel, o), v)


def _accumulate_in_slab(
    s: Any, accumulator: Any, convolution: Any, tiles: tuple[Any, Any], cfg: Any, output: Any
) -> None:
    """All pixels of a slab of output channels at once; a block of weights meets every pixel while in L1,
    a tile of pixels all channels of the slab.
    """
    s[accumulator].set_scope("global")
    s[accumulator].compute_at(s[output], tiles[0])
    n, o, y, x, v = s[accumulator].op.axis
    outer, pixel = s[accumulator].split(s[accumulator].fuse(y, x), factor=cfg["tile_p"].val)
    (channel,) = s[accumulator].op.reduce_axis
    block, rest = s[accumulator].split(channel, factor=cfg["block_k"].val)
    rest, unrolled = s[accumulator].split(rest, factor=cfg["unroll"].val)
    within, tile = s[accumulator].split(o, factor=cfg["tile_oc"].val)
    s[accumulator].reorder(n, block, outer, within, rest, unrolled, pixel, tile, v)
    _unroll_and_vectorize(s[accumulator], (unrolled, pixel, tile), v)


def _unroll_and_vectorize(stage: Any, unrolled: tuple[Any, ...], vector: Any) -> None:
    stage.vectorize(vector)
    for axis in unrolled:
        stage.unroll(axis)
