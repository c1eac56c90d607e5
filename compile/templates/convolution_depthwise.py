# SPDX-License-Identifier: Apache-2.0
"""Template of a convolution and the depthwise one that reads it, as one kernel, the map between in cache.

A depthwise convolution needs only its own channels, so a slab of `tile_oc` vectors of channels is made by the
first convolution and used up by the second before the next slab; `tile_rows` output rows at a time where the
whole map would not fit. What is written between the two is never bigger than a slab, and half of the parallel
sections go. Blocks of rows recompute the rows they share. The idea of computing through layers tile by tile:
Alwani et al., "Fused-layer CNN accelerators" (MICRO 2016).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import autotvm, te, tir, topi

from mnc.compile.templates import blocked, depthwise, direct, pointwise


def _clip(value: Any, most: float | None) -> Any:
    """0 to `most`."""
    below = value if most is None else te.min(value, tir.const(most, value.dtype))
    return te.max(below, tir.const(0.0, value.dtype))


NAME = "convolution_depthwise_NCHWc.mnc"
TAG = "mnc_convolution_depthwise"
# The activation between the two, as it is spelt in workloads.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "none": lambda value: value,
    "relu": lambda value: _clip(value, blocked.LARGEST_HALF if value.dtype == "float16" else None),
    "relu6": lambda value: _clip(value, 6.0),
}
SLAB_BYTES = 384 * 1024  # what an untuned build lets a slab take of a core's L2
DEPTHWISE_TILE = 14  # pixels; more do not help once the multiply-adds' latency is hidden


@dataclass(frozen=True)
class _Tile:
    """Of the first convolution: registers for it, and the steps of its reduction that may be written out."""

    registers: int
    unroll: list[int]
    default_unroll: int


def producer(kernel: Sequence[int], strides: Any, padding: Any) -> Any:
    """The template module whose convolution the first one is; `kernel` is (O, I, KH, KW, i, o)."""
    one_to_one = tuple(kernel[2:4]) == (1, 1) and blocked.pair(strides) == (1, 1)
    return pointwise if one_to_one and not any(int(pad) for pad in padding) else direct


@autotvm.register_topi_compute(NAME)  # type: ignore[untyped-decorator]
def compute(
    cfg: Any,
    data: Any,
    kernel: Any,
    bias: Any,
    taps: Any,
    strides: Any,
    padding: Any,
    depthwise_strides: Any,
    depthwise_padding: Any,
    activation: str,
    out_dtype: str,
) -> Any:
    """data (N, I, H, W, i), kernel (O, I, KH, KW, i, o), bias (1, O, 1, 1, o), `activation`, then
    depthwise taps (O, 1, KH, KW, 1, o) -> (N, O, OH, OW, o).
    """
    if producer(topi.utils.get_const_tuple(kernel.shape), strides, padding) is pointwise:
        summed = pointwise.product(data, kernel, tag="")
        block = int(data.shape[4])
        default = pointwise.default_unroll(block, data.dtype)
        tile = _Tile(blocked.vector_registers(), pointwise.unrolls(block), default)
    else:
        first = blocked.window(data, kernel, strides, padding)
        summed = direct.product(data, kernel, first, tag="")
        unroll = [0, direct.UNROLL_COLUMNS, direct.UNROLL_ALL_TAPS]
        tile = _Tile(direct.registers(data.dtype), unroll, direct.UNROLL_COLUMNS)
    made = _made(summed, bias, activation, depthwise_padding)
    _, left, _, right = depthwise_padding
    window = blocked.window(made, taps, depthwise_strides, (0, left, 0, right))
    _define_space(cfg, made, window, tile)
    return depthwise.product(made, taps, window, tag=TAG)


def _made(summed: Any, bias: Any, activation: str, padding: Any) -> Any:
    """The map between the two, with rows of zeros above and below.

    The depthwise part then tests columns only; a test of rows would stand before every one of its loads.
    """
    batch, chunks, height, width, block = topi.utils.get_const_tuple(summed.shape)
    top, _, bottom, _ = (int(pad) for pad in padding)

    def value(n: Any, o: Any, y: Any, x: Any, v: Any) -> Any:
        full = ACTIVATIONS[activation](summed[n, o, y - top, x, v] + bias[0, o, 0, 0, v])
        if not (top or bottom):
            return full
        # Sums of a row outside are none, so both sides may be evaluated: no branch for each store.
        inside = tir.all(y >= top, y < top + height)
        return tir.Select(inside, full, tir.const(0.0, summed.dtype))

    return te.compute((batch, chunks, height + top + bottom, width, block), value, name="made")


def _define_space(cfg: Any, made: Any, window: blocked.Window, tile: _Tile) -> None:
    _, chunks, _, width, block = topi.utils.get_const_tuple(made.shape)
    most = blocked.vector_registers() - 2
    tile_p = ("tile_p", blocked.divisors(width, most - 1))
    tile_oc = ("tile_oc", blocked.divisors(chunks, 8))
    good = blocked.tile_knobs(cfg, tile_oc, tile_p, registers=tile.registers)
    blocked.knob(cfg, "unroll", tile.unroll, tile.default_unroll)
    rows = slab_rows(window.out_h, int(window.tap_h.dom.extent), window.stride_h)
    row_bytes = 4 * block * width * cfg["tile_oc"].val * window.stride_h if cfg.is_fallback else 1
    busy = keeping_cores_busy(window.out_h, chunks, [oc for oc, _ in good], rows)
    fit = [r for r in rows if r * row_bytes <= SLAB_BYTES]
    if cfg.is_fallback:
        fit = [r for r in fit if (cfg["tile_oc"].val, r) in busy] or fit
    blocked.knob(cfg, "tile_rows", rows, max(fit, default=rows[0]))
    tile_ow = blocked.divisors(window.out_w, min(most, DEPTHWISE_TILE))[-3:]
    blocked.knob(cfg, "tile_ow", tile_ow, tile_ow[-1])
    cfg.multi_filter(
        filter=lambda e: (
            (e["tile_oc"].val, e["tile_p"].val) in good
            and (e["tile_oc"].val, e["tile_rows"].val) in busy
        )
    )


def keeping_cores_busy(
    out_h: int, chunks: int, tile_oc: list[int], tile_rows: list[int]
) -> set[tuple[int, int]]:
    """Slabs, as (chunks, rows), of which there are enough to share out evenly; else all of them."""
    cores, slabs = blocked.cores(), {(oc, rows) for oc in tile_oc for rows in tile_rows}
    busy = {
        (oc, rows) for oc, rows in slabs if blocked.balanced(chunks // oc * (out_h // rows), cores)
    }
    return busy or slabs


def slab_rows(out_h: int, taps: int, stride: int) -> list[int]:
    """Blocks of output rows whose shared rows, made twice, are at most about a third of the work; where cores
    keep their rows, as many blocks for each.
    """
    blocks = blocked.divisors(out_h, out_h)
    rows = [r for r in blocks if r == out_h or taps - stride <= 0.3 * r * stride]
    if not blocked.keeps_rows(out_h):
        return rows
    cores = blocked.cores()
    return [r for r in rows if out_h // r % cores == 0] or [out_h // cores]


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """Slab outside; the first convolution in register tiles, then the depthwise one over the slab."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        slab = _schedule_depthwise(s, accumulator, output, cfg)
        made = convolution.op.input_tensors[0]
        if "pad" in made.op.tag:
            made = made.op.input_tensors[0]
        s[made].compute_at(s[output], slab)
        _schedule_first(s, made, cfg)

    return blocked.schedule_convolution(outs, one, tag=TAG)


def _schedule_depthwise(s: Any, accumulator: Any, output: Any, cfg: Any) -> Any:
    """Tile the output; returns the parallel axis, each step of which is a slab."""
    n, o, y, x, v = s[output].op.axis
    o_outer, o_inner = s[output].split(o, factor=cfg["tile_oc"].val)
    block, row = s[output].split(y, factor=cfg["tile_rows"].val)
    x_outer, x_inner = s[output].split(x, factor=cfg["tile_ow"].val)
    s[output].reorder(n, block, o_outer, o_inner, row, x_outer, x_inner, v)
    s[output].vectorize(v)
    s[output].unroll(x_inner)
    slab = s[output].fuse(n, block, o_outer)
    s[output].parallel(slab)
    s[accumulator].compute_at(s[output], x_outer)
    depthwise.schedule_taps(s[accumulator], unroll_rows=True)
    return slab


def _schedule_first(s: Any, made: Any, cfg: Any) -> None:
    _, o, y, x, v = s[made].op.axis
    x_outer, x_inner = s[made].split(x, factor=cfg["tile_p"].val)
    s[made].reorder(y, x_outer, x_inner, o, v)
    s[made].vectorize(v)
    s[made].unroll(x_inner)
    s[made].unroll(o)
    summed = next(t for t in made.op.input_tensors if t.op.reduce_axis)
    s[summed].set_scope(blocked.tile_scope())
    s[summed].compute_at(s[made], x_outer)
    if len(summed.op.reduce_axis) == 1:
        pointwise.sum_in_registers(s, summed, cfg)
        return
    source = summed.op.input_tensors[0]
    if "pad" in source.op.tag:
        s[source].compute_inline()
    direct.reduce_in_registers(s[summed], unroll=cfg["unroll"].val)
