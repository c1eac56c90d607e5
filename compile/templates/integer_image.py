# SPDX-License-Identifier: Apache-2.0
"""Template of the first convolution in 8-bit integers on AArch64 without a dot product.

Takes an image (N, 1, H, W, 2) in int8 with its border, whose bytes, the channels of a pixel side by side, lie
in pairs, and kernel (O, 1, KH, KW, 1, 16, 2) of pairs; gives int32 sums (N, O, OH, OW, 16). So a
convolution of three channels by two columns is one of a channel by six, and nothing is multiplied but what
is there, where words of four bytes hold a fourth channel.
"""

from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import blocked, direct, image_assembly, image_kernel, instructions
from mnc.compile.templates.image_kernel import MOST_BLOCKS, Shape
from mnc.compile.templates.packed_image import PAIR

NAME = "image_int8_NCHWc.mnc"
TAG = "mnc_image_int8"
STACKED_BLOCKS = 15  # of sums, that are on the stack: TVM asks the runtime for 1024 bytes and more


def in_pairs(channels: int, size: tuple[int, ...], stride: int) -> tuple[int, int, int] | None:
    """Of (KW, W, OW) of a convolution of `channels`: pairs that a row of taps and one of the image take, and
    from pixel to pixel; None where pixels begin within pairs, or rows hold another number of pixels.
    """
    taps, width, out_w = size
    if stride * channels % PAIR:
        return None
    pairs, apart = -(-taps * channels // PAIR), stride * channels // PAIR
    row = max(-(-width * channels // PAIR), (out_w - 1) * apart + pairs)
    return (pairs, row, apart) if (row - pairs) // apart + 1 == out_w else None


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
    """The sums over pairs; `padding` is none."""
    window = blocked.window(data, kernel, strides, padding, dilation)
    _define_space(cfg, int(kernel.shape[0]), window.out_w)
    byte = te.reduce_axis((0, PAIR), name="byte")

    def tap(n: Any, o: Any, y: Any, x: Any, v: Any) -> Any:
        value = window.source[n, 0, *window.at(y, x), byte]
        weight = kernel[o, 0, window.tap_h, window.tap_w, 0, v, byte]
        axes = [window.tap_h, window.tap_w, byte]
        return te.sum(value.astype(out_dtype) * weight.astype(out_dtype), axis=axes)

    out_chunks, *_, block, _ = topi.utils.get_const_tuple(kernel.shape)
    shape = (int(data.shape[0]), out_chunks, window.out_h, window.out_w, block)
    attrs = {"step": window.stride_w}
    return te.compute(shape, tap, name="direct", tag=TAG, attrs=attrs)


def _define_space(cfg: Any, out_chunks: int, out_w: int) -> None:
    tile_oc = blocked.divisors(out_chunks, MOST_BLOCKS)
    blocked.knob(cfg, "tile_oc", tile_oc, max(tile_oc))
    tile_ow = blocked.divisors(out_w, 8)
    most = image_assembly.most_pixels(max(tile_oc))
    blocked.knob(cfg, "tile_ow", tile_ow, max(w for w in tile_ow if w <= most))
    cfg.multi_filter(filter=lambda e: e["tile_oc"].val * e["tile_ow"].val <= STACKED_BLOCKS)


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """A tile of output channels and pixels of one row in registers, over all pairs."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        s[accumulator].compute_at(s[output], direct.tile_output(s, output, cfg))
        _schedule_tile(s[accumulator], cfg, convolution.op)

    return blocked.schedule_convolution(outs, one, tag=TAG)


def _schedule_tile(stage: Any, cfg: Any, convolution: Any) -> None:
    _, o, y, x, v = stage.op.axis
    if not instructions.multiplies_pairs():
        stage.reorder(o, y, *stage.op.reduce_axis, x, v)
        stage.vectorize(v)
        return
    stage.reorder(o, y, x, v, *stage.op.reduce_axis)
    down, across = (int(axis.dom.extent) for axis in convolution.reduce_axis[:2])
    tile = cfg["tile_oc"].val, cfg["tile_ow"].val
    shape = Shape(*tile, taps=(down, across), step=int(convolution.attrs["step"]))
    stage.tensorize(o, image_kernel.intrinsic(shape, scope=blocked.tile_scope()))
