# SPDX-License-Identifier: Apache-2.0
"""Template of the 1x1 convolution in 8-bit integers: `pointwise`'s register tile, a group of channels a step.

Takes data (N, I, H, W, i) and kernel (O, I, 1, 1, i / g, o, g) in the groups of g input channels that the
CPU's `MultiplyAdd` takes; gives int32 sums (N, O, H, W, o). The classifier is the same with one pixel.
"""

from collections.abc import Callable
from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import (
    assembly_function,
    blocked,
    instructions,
    pointwise,
    register_tile,
)
from mnc.compile.templates.register_tile import RegisterTile

NAME = "pointwise_int8_NCHWc.mnc"
TAG = "mnc_pointwise_int8"
DEEP = 8  # blocks of input channels: weights of more are not in the first cache


@autotvm.register_topi_compute(NAME)  # type: ignore[untyped-decorator]
def compute(
    cfg: Any,
    data: Any,
    kernel: Any,
    strides: Any,
    padding: Any,
    dilation: Any,
    pad_value: int,
    out_dtype: str,
) -> Any:
    """The sums over the input channels."""
    height, width = topi.utils.get_const_tuple(data.shape)[2:4]
    good = define_tile(cfg, data, kernel, height, width)
    _define_order(cfg, good, int(kernel.shape[0]), height, width)
    return product(data, kernel, out_dtype, tag=TAG)


def product(data: Any, kernel: Any, sums: str, *, tag: str) -> Any:
    """The sums over the input channels, of type `sums`, without a schedule."""
    batch, chunks, height, width, _ = topi.utils.get_const_tuple(data.shape)
    out_chunks, _, _, _, parts, out_block, group = topi.utils.get_const_tuple(kernel.shape)
    source = instructions.widened(data, group)
    chunk = te.reduce_axis((0, chunks), name="chunk")
    part = te.reduce_axis((0, parts), name="part")
    byte = te.reduce_axis((0, group), name="byte")
    return te.compute(
        (batch, out_chunks, height, width, out_block),
        lambda n, o, y, x, v: te.sum(
            source[n, chunk, y, x, part * group + byte].astype(sums)
            * kernel[o, chunk, 0, 0, part, v, byte].astype(sums),
            axis=[chunk, part, byte],
        ),
        name="pointwise",
        tag=tag,
    )


def define_tile(cfg: Any, data: Any, kernel: Any, height: int, width: int) -> Callable[[Any], bool]:
    """Knobs of a register tile on maps of this size; gives which configs are worth a trial."""
    out_chunks, parts = int(kernel.shape[0]), int(kernel.shape[4])
    family = instructions.tile_of(data, kernel)
    if family is None:
        good = _define_tile(cfg, out_chunks, height, width, int(kernel.shape[6]))
        blocked.knob(cfg, "unroll", [u for u in (1, 2, 4) if parts % u == 0], min(2, parts))
        return good
    deep = int(data.shape[1]) > DEEP
    return _define_register_tile(cfg, family, out_chunks, height, width, deep=deep)


def _define_order(
    cfg: Any, good: Callable[[Any], bool], out_chunks: int, height: int, width: int
) -> None:
    """The loops around a tile, as the float32 template's."""
    blocked.knob(cfg, "block_k", [0], 0)  # int8 weights are a quarter: no slab of them is needed
    blocks = blocked.row_blocks(height)
    orders = [pointwise.CHANNEL_OUTER]
    orders += [pointwise.PIXEL_OUTER] if height * width > 1 else []
    orders += [pointwise.ROW_BLOCKS] if blocks > 1 else []
    whole = blocks > 1 and height // blocks * width % cfg["tile_p"].val == 0
    keep = blocked.keeps_rows(height) and whole
    blocked.knob(cfg, "order", orders, pointwise.ROW_BLOCKS if keep else pointwise.CHANNEL_OUTER)
    cores = blocked.cores()

    def sensible(e: Any) -> bool:
        if not good(e):
            return False
        if e["order"].val != pointwise.ROW_BLOCKS:
            return True
        steps = out_chunks // e["tile_oc"].val * blocks
        return height // blocks * width % e["tile_p"].val == 0 and blocked.balanced(steps, cores)

    cfg.multi_filter(filter=sensible)


def _define_tile(
    cfg: Any, out_chunks: int, height: int, width: int, group: int
) -> Callable[[Any], bool]:
    """Blocks of channels, of as many registers as `instructions` says, and pixels."""
    a_block = instructions.registers_a_block()
    # Half of a block's weights at a time fits as well: rows of an odd length divide into few tiles, and what
    # multiplies bytes reads them from memory.
    half = a_block == 2 and (width % 2 == 1 or instructions.largest_pair(group) > 0)
    registers = blocked.vector_registers() // a_block + half
    tile_p = pointwise.pixel_tiles(height, width, registers)
    tile_oc = blocked.divisors(out_chunks, 8 if height * width > 1 else registers - 2)
    good = blocked.tile_knobs(cfg, ("tile_oc", tile_oc), ("tile_p", tile_p), registers=registers)
    return lambda e: (e["tile_oc"].val, e["tile_p"].val) in good


def _define_register_tile(
    cfg: Any, family: RegisterTile, out_chunks: int, height: int, width: int, *, deep: bool
) -> Callable[[Any], bool]:
    """Pixels and channels at once (`tile_v`) whose sums fit the registers, beside the pixels' numbers, a
    weight and two products.
    """
    registers = blocked.vector_registers() - 3
    pixels = pointwise.pixel_tiles(height, width, registers)
    shapes = [(p, v) for p in pixels for v in (4, 8, 16) if family.vectors(p, v) + p <= registers]
    best = max(shapes, key=lambda shape: _merit(family, *shape, deep=deep))
    blocked.knob(cfg, "tile_oc", blocked.divisors(out_chunks, 8), 1)
    blocked.knob(cfg, "tile_p", sorted({p for p, _ in shapes}), best[0])
    blocked.knob(cfg, "tile_v", [4, 8, 16], best[1])
    if family.halves:
        blocked.knob(cfg, "load", [8, 16], 8 if blocked.in_order() else 16)
    if family.prefetches:
        blocked.knob(cfg, "prefetch", [0, 1], 1)
    most = max(family.vectors(*shape) for shape in shapes)
    return lambda e: (
        (shape := (e["tile_p"].val, e["tile_v"].val)) in shapes
        and family.vectors(*shape) >= min(most, 4)
        and e["tile_oc"].val * shape[0] <= register_tile.STACKED_BLOCKS
    )


def _merit(family: RegisterTile, pixels: int, channels: int, *, deep: bool) -> tuple[int, ...]:
    """Which tile an untuned build takes: the greatest. By the core model an A72 and an A76 do best with whole
    blocks of channels that give enough sums to hide latencies; an A55 loads less for many pixels. Assembly
    is best with registers full, of few pixels, whose sums LLVM then has in registers as well.
    """
    vectors = family.vectors(pixels, channels)
    if family.prefetches:
        # Of many inputs, fewer channels: caches' prefetchers follow lines of weights a constant apart.
        return (-channels, pixels) if deep else (vectors, pixels == 2, -channels, pixels)
    if not blocked.in_order():
        return min(vectors, 8), channels, -pixels
    return (min(pixels, 2), -channels) if family.halves else (min(pixels, 7), channels)


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """A tile of output channels and pixels in registers over the whole reduction."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        _, inner = pointwise.tile_output(s, output, cfg)
        sum_in_tile(s, convolution, accumulator, output, inner, cfg)

    return blocked.schedule_convolution(outs, one, tag=TAG)


def sum_in_tile(
    s: Any, convolution: Any, accumulator: Any, output: Any, inner: Any, cfg: Any
) -> None:
    """The sums of `convolution` in `accumulator`, a tile of `output` at its axis `inner`."""
    s[accumulator].compute_at(s[output], inner)
    instructions.schedule_widened(s, convolution, output, inner)
    data, kernel = convolution.op.input_tensors
    family = instructions.tile_of(data, kernel)
    if family is None:
        _a_group_a_step(s[accumulator], cfg, data, kernel)
    else:
        _as_register_tile(s[accumulator], cfg, family, data)


def _a_group_a_step(stage: Any, cfg: Any, data: Any, kernel: Any) -> None:
    _, o, y, x, v = stage.op.axis
    chunk, part, byte = stage.op.reduce_axis
    pixel = stage.fuse(y, x)
    # What is checked here for a CPU with register tiles has no such knob.
    unroll = cfg["unroll"].val if "unroll" in cfg else 1
    rest, unrolled = stage.split(part, factor=unroll)
    stage.reorder(chunk, rest, unrolled, pixel, o, v, byte)
    for axis in (unrolled, pixel, o):
        stage.unroll(axis)
    instructions.vectorize(stage, v, byte, data, kernel)


def _as_register_tile(stage: Any, cfg: Any, family: RegisterTile, data: Any) -> None:
    _, o, y, x, v = stage.op.axis
    width, pixels = int(data.shape[3]), cfg["tile_p"].val
    # The same pixels two blocks of channels on.
    ahead = 2 * int(data.shape[2]) * width * register_tile.BLOCK
    prefetch = family.prefetches and cfg["prefetch"].val
    shape = register_tile.Shape(
        blocks=cfg["tile_oc"].val,
        rows=max(1, pixels // width),
        columns=min(pixels, width),
        chunks=int(data.shape[1]),
        channels=cfg["tile_v"].val,
        load=cfg["load"].val if family.halves else register_tile.BLOCK,
        ahead=ahead if prefetch and ahead <= assembly_function.MOST_AHEAD else 0,
    )
    stage.reorder(o, y, x, v, *stage.op.reduce_axis)
    stage.tensorize(o, register_tile.intrinsic(family, shape, scope=blocked.tile_scope()))
