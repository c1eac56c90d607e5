# SPDX-License-Identifier: Apache-2.0
"""Template of a convolution in 8-bit integers and the depthwise one that reads it, as one kernel.

As `convolution_depthwise` for floats: a slab of the map between the two, in 8 bits, is made and used up while
it is in the cache. Takes data, kernel and taps as `integer_pointwise` or `integer_direct` and
`integer_depthwise` or `integer_depthwise_tile` do, bias (1, O, 1, 1, o) in int32 and scale (1, O, 1, 1, o) in
float32; gives int32 sums (N, O, OH, OW, o).
"""

from collections.abc import Callable
from typing import Any

from tvm import autotvm, te, tir, topi

from mnc.compile.templates import (
    blocked,
    convolution_depthwise,
    instructions,
    integer_depthwise,
    integer_depthwise_tile,
    integer_direct,
    integer_pointwise,
    packed_image,
)
from mnc.compile.templates.columns import Columns

NAME = "convolution_depthwise_int8_NCHWc.mnc"
TAG = "mnc_convolution_depthwise_int8"
STORED_AT = 5  # of the arguments: (zero point, least, greatest), as the map between is stored
Good = Callable[[Any], bool]  # whether a config is worth a trial
SLAB_BYTES = convolution_depthwise.SLAB_BYTES


def is_pointwise(kernel: Any) -> bool:
    """Whether the first convolution, of a kernel (O, I, KH, KW, i / g, o, g), is that template's."""
    return tuple(int(extent) for extent in kernel[2:4]) == (1, 1)


@autotvm.register_topi_compute(NAME)  # type: ignore[untyped-decorator]
def compute(
    cfg: Any,
    data: Any,
    kernel: Any,
    bias: Any,
    taps: Any,
    scale: Any,
    stored: Any,
    strides: Any,
    depthwise_strides: Any,
    depthwise_padding: Any,
    out_dtype: str,
) -> Any:
    """The depthwise sums; the first convolution has no padding, and a 1x1 one a stride of 1."""
    if is_pointwise(kernel.shape):
        summed = integer_pointwise.product(data, kernel, out_dtype, tag="")
    else:
        window = blocked.window(data, kernel, strides, (0, 0, 0, 0))
        summed = integer_direct.product(data, kernel, window, out_dtype, tag="")
    zero, least, most = (int(number) for number in stored)
    top, left, bottom, right = (int(pad) for pad in depthwise_padding)
    made = _made(summed, bias, scale, (zero, least, most), (top, bottom), data.dtype)
    across = (0, left, 0, right)
    good = [_define_first(cfg, data, kernel, summed)]
    if len(taps.shape) == 7:
        rows, horizontal = integer_depthwise.axes(made, taps, depthwise_strides, across, 1)
        columns = Columns(horizontal, instructions.group())
        integer_depthwise.define_columns(cfg, columns)
        good.append(_define_rows(cfg, made, rows.out, rows.stride, rows.taps))
        result = integer_depthwise.product(made, taps, rows, columns, zero, out_dtype, tag=TAG)
    else:
        window = blocked.window(made, taps, depthwise_strides, across, pad_value=zero)
        good.append(integer_depthwise_tile.define_tile(cfg, window)[1])
        good.append(_define_rows(cfg, made, window.out_h, window.stride_h, int(taps.shape[2])))
        result = integer_depthwise_tile.product(made, taps, window, out_dtype, tag=TAG)
    cfg.multi_filter(filter=lambda e: all(is_good(e) for is_good in good))
    return result


def _made(
    summed: Any,
    bias: Any,
    scale: Any,
    stored: tuple[int, int, int],
    border: tuple[int, int],
    dtype: str,
) -> Any:
    """The map between the two in 8 bits, with rows of zero points above and below."""
    batch, chunks, height, width, block = topi.utils.get_const_tuple(summed.shape)
    top, bottom = border

    def value(n: Any, o: Any, y: Any, x: Any, v: Any) -> Any:
        # A row outside is worked out as the one at the edge, so that each tile has its pixels.
        row = te.max(te.min(y - top, height - 1), 0) if top or bottom else y
        sums = summed[n, o, row, x, v] + bias[0, o, 0, 0, v]
        number = _stored(sums, scale[0, o, 0, 0, v], stored, dtype)
        if not (top or bottom):
            return number
        inside = tir.all(y >= top, y < top + height)
        return tir.Select(inside, number, tir.const(stored[0], dtype))

    return te.compute((batch, chunks, height + top + bottom, width, block), value, name="made")


def _stored(sums: Any, scale: Any, stored: tuple[int, int, int], dtype: str) -> Any:
    """One multiplication, one rounding, ties to even, bounds (docs/int8.md, rule 2)."""
    zero, least, most = stored
    steps = sums.astype("float32") * scale
    if dtype == "uint8" and zero % 2 == 0:  # ties stay even
        count = tir.const(1, "uint32")
        nearest = tir.call_llvm_pure_intrin("int32", "llvm.lrint", count, steps)
        level = nearest + tir.const(zero, "int32")
        return te.max(te.min(level, most), least).astype(dtype)
    # The bounds keep the product and the sum two instructions, with a rounding each.
    kept = te.max(te.min(steps, float(most - zero)), float(least - zero))
    shifted = kept + tir.const(packed_image.ROUNDER + zero, "float32")
    return tir.call_intrin("int32", "tir.reinterpret", shifted).astype(dtype)


def _define_first(cfg: Any, data: Any, kernel: Any, summed: Any) -> Good:
    """A register tile of the first convolution, within a row."""
    width = int(summed.shape[3])
    if is_pointwise(kernel.shape):
        return integer_pointwise.define_tile(cfg, data, kernel, 1, width)
    return integer_direct.define_tile(cfg, int(kernel.shape[0]), width, "tile_p")


def _define_rows(cfg: Any, made: Any, out_h: int, stride: int, taps: int) -> Good:
    """Output rows of a slab: few, where it would not fit; shared rows at most about a third of the work."""
    _, chunks, _, width, block = topi.utils.get_const_tuple(made.shape)
    rows = convolution_depthwise.slab_rows(out_h, taps, stride)
    down = cfg["tile_oh"].val if cfg.is_fallback and "tile_oh" in cfg else 1
    fit = [r for r in rows if r * block * width * stride <= SLAB_BYTES and r % down == 0] or rows
    channels = blocked.divisors(chunks, chunks)
    busy = convolution_depthwise.keeping_cores_busy(out_h, chunks, channels, rows)
    default = max(fit)
    if cfg.is_fallback:
        default = max((r for r in fit if (cfg["tile_oc"].val, r) in busy), default=default)
    blocked.knob(cfg, "tile_rows", rows, default)

    def is_good(e: Any) -> bool:
        some = e["tile_rows"].val
        whole = "tile_oh" not in e or some % e["tile_oh"].val == 0
        return whole and (e["tile_oc"].val, some) in busy

    return is_good


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """Slab outside; the first convolution in register tiles, then the depthwise one over the slab."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        slab, channels, tile = _tile_output(s, output, cfg)
        s[accumulator].compute_at(s[output], tile)
        made = convolution.op.input_tensors[0]
        if len(convolution.op.reduce_axis) == 2:
            if "pad" in made.op.tag:
                s[made].compute_at(s[output], slab)
                s[made].vectorize(s[made].op.axis[4])
                made = made.op.input_tensors[0]
            integer_depthwise_tile.schedule_tile(s[accumulator], cfg, convolution.op)
        else:
            integer_depthwise.schedule_taps(s[accumulator], convolution)
            integer_depthwise.schedule_words(s, output, channels)
        s[made].compute_at(s[output], slab)
        _schedule_first(s, made, cfg)

    return blocked.schedule_convolution(outs, one, tag=TAG, inline_padding=False)


def _tile_output(s: Any, output: Any, cfg: Any) -> tuple[Any, Any, Any]:
    """Axes of the output: the parallel one, each step of which is a slab; blocks of channels; tiles."""
    n, o, y, x, v = s[output].op.axis
    down = cfg["tile_oh"].val if "tile_oh" in cfg else 1
    o_outer, o_inner = s[output].split(o, factor=cfg["tile_oc"].val)
    block, y = s[output].split(y, factor=cfg["tile_rows"].val)
    row, y_inner = s[output].split(y, factor=down)
    x_outer, x_inner = s[output].split(x, factor=cfg["tile_ow"].val)
    s[output].reorder(n, block, o_outer, o_inner, row, x_outer, y_inner, x_inner, v)
    s[output].vectorize(v)
    s[output].unroll(x_inner)
    s[output].unroll(y_inner)
    slab = s[output].fuse(n, block, o_outer)
    s[output].parallel(slab)
    return slab, o_inner, x_outer


def _schedule_first(s: Any, made: Any, cfg: Any) -> None:
    _, o, y, x, v = s[made].op.axis
    x_outer, x_inner = s[made].split(x, factor=cfg["tile_p"].val)
    s[made].reorder(y, x_outer, x_inner, o, v)
    s[made].vectorize(v)
    s[made].unroll(x_inner)
    s[made].unroll(o)
    summed = next(t for t in made.op.input_tensors if getattr(t.op, "reduce_axis", None))
    s[summed].set_scope(blocked.tile_scope())
    if len(summed.op.reduce_axis) == 3:
        integer_pointwise.sum_in_tile(s, summed, summed, made, x_outer, cfg)
        return
    s[summed].compute_at(s[made], x_outer)
    integer_direct.sum_in_registers(s[summed], summed, unroll=cfg["unroll"].val)
