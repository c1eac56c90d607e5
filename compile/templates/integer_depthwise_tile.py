# SPDX-License-Identifier: Apache-2.0
"""Template of the depthwise convolution in 8-bit integers of a CPU that keeps a tile of pixels in registers.

Takes data (N, C, H, W, 16) in int8 and kernel (C, 1, KH, KW, 1, 16); gives int32 sums (N, C, OH, OW, 16).
Some rows of a block of channels at once are copied with their border around them, so that no load is tested.
"""

from collections.abc import Callable
from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import blocked, depthwise, depthwise_tile, instructions
from mnc.compile.templates.depthwise_tile import DepthwiseTile, Shape

NAME = "depthwise_tile_int8_NCHWc.mnc"
TAG = "mnc_depthwise_tile_int8"
COPIED_BYTES = 24 * 1024  # at once: they are to stay in the first cache
SLID_LEAST, SLID_COLUMNS, SLID_ROWS = 4, 56, 14  # of tiles whose sums slide through registers
STACKED_BLOCKS = 15  # of sums, that are on the stack: TVM asks the runtime for 1024 bytes and more


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
    """The sums over the taps."""
    window = blocked.window(data, kernel, strides, padding, dilation, pad_value=pad_value)
    _define_space(cfg, window)
    return product(data, kernel, window, out_dtype, tag=TAG)


def product(data: Any, kernel: Any, window: blocked.Window, sums: str, *, tag: str) -> Any:
    """The sums over the taps, of type `sums`, without a schedule."""
    batch, chunks, _, _, block = topi.utils.get_const_tuple(data.shape)

    def tap(n: Any, c: Any, y: Any, x: Any, v: Any) -> Any:
        weight = kernel[c, 0, window.tap_h, window.tap_w, 0, v]
        value = window.source[n, c, *window.at(y, x), v]
        return te.sum(value.astype(sums) * weight.astype(sums), axis=[window.tap_h, window.tap_w])

    steps, apart = (
        (window.stride_h, window.stride_w),
        (window.dilation_h, window.dilation_w),
    )
    return te.compute(
        (batch, chunks, window.out_h, window.out_w, block),
        tap,
        name="depthwise",
        tag=tag,
        attrs={"steps": steps, "apart": apart},
    )


def _define_space(cfg: Any, window: blocked.Window) -> None:
    """A tile of `tile_oh` x `tile_ow` pixels, `blocks` of rows whose source is copied at once."""
    height = window.out_h
    rows = blocked.divisors(height, height)
    row_bytes = int(window.source.shape[3] * window.source.shape[4])
    stride = int(window.source.shape[2]) / height

    def copied(some: int) -> float:
        return (some * stride + 2) * row_bytes

    fit = [some for some in rows if copied(some) <= COPIED_BYTES] or rows[:1]
    down, good = define_tile(cfg, window)
    blocked.knob(cfg, "rows", fit, max((some for some in fit if some % down == 0), default=down))
    cfg.multi_filter(filter=lambda e: e["rows"].val % e["tile_oh"].val == 0 and good(e))


def define_tile(cfg: Any, window: blocked.Window) -> tuple[int, Callable[[Any], bool]]:
    """Knobs of a tile of pixels of the output; gives an untuned one's rows, and which configs are worth a
    trial.
    """
    height, width = window.out_h, window.out_w
    family = instructions.depthwise_tile()
    if family and (wide := _slid(family, window)):
        return _define_rows(cfg, height, width, wide)
    tile_oh, tile_ow = blocked.divisors(height, 4), blocked.divisors(width, 8)
    pixels = family.pixels if family else 4
    down = 2 if 2 in tile_oh and pixels > 2 else 1
    blocked.knob(cfg, "tile_oh", tile_oh, down)
    small = min((w for w in tile_ow if w * down >= pixels), default=max(tile_ow))
    blocked.knob(cfg, "tile_ow", tile_ow, small)
    least = min(2, max(tile_ow))
    return down, lambda e: least <= e["tile_oh"].val * e["tile_ow"].val <= STACKED_BLOCKS


def _slid(family: DepthwiseTile, window: blocked.Window) -> list[int]:
    """Columns of tiles that keep only some of them in registers."""
    taps = int(window.tap_h.dom.extent), int(window.tap_w.dom.extent)
    steps = window.stride_h, window.stride_w
    apart = window.dilation_h, window.dilation_w
    width = window.out_w
    some = [w for w in blocked.divisors(width, SLID_COLUMNS) if w >= SLID_LEAST] or [width]
    return [w for w in some if family.slides(Shape(1, w, taps, steps, apart))]


def _define_rows(
    cfg: Any, height: int, width: int, wide: list[int]
) -> tuple[int, Callable[[Any], bool]]:
    """Of such tiles: of several rows where these are whole, for which weights are sorted once."""
    tile_oh = blocked.divisors(height, SLID_ROWS)
    down = tile_oh[-1] if wide[-1] == width else 1
    blocked.knob(cfg, "tile_oh", tile_oh, down)
    blocked.knob(cfg, "tile_ow", wide, wide[-1])
    return down, lambda e: e["tile_oh"].val == 1 or e["tile_ow"].val == width


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """Blocks of rows outside, whose source is copied, then tiles of pixels."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        n, c, y, x, v = s[output].op.axis
        block, y = s[output].split(y, factor=cfg["rows"].val)
        y, y_inner = s[output].split(y, factor=cfg["tile_oh"].val)
        x, x_inner = s[output].split(x, factor=cfg["tile_ow"].val)
        s[output].reorder(n, c, block, y, x, y_inner, x_inner, v)
        s[output].vectorize(v)
        s[output].unroll(x_inner)
        s[output].unroll(y_inner)
        parallel = s[output].fuse(n, c, block)
        s[output].parallel(parallel)
        source, _ = convolution.op.input_tensors
        if "pad" in source.op.tag:
            s[source].compute_at(s[output], parallel)
            s[source].vectorize(s[source].op.axis[4])
        s[accumulator].compute_at(s[output], x)
        schedule_tile(s[accumulator], cfg, convolution.op)

    return blocked.schedule_convolution(outs, one, tag=TAG, inline_padding=False)


def schedule_tile(stage: Any, cfg: Any, convolution: Any) -> None:
    """The sums of a tile of pixels, in registers."""
    family = instructions.depthwise_tile()
    if family is None:
        depthwise.schedule_taps(stage, unroll_rows=False)
        return
    down, across = (int(axis.dom.extent) for axis in convolution.reduce_axis)
    steps, apart = (
        (int(convolution.attrs[name][0]), int(convolution.attrs[name][1]))
        for name in ("steps", "apart")
    )
    tile = (cfg["tile_oh"].val, cfg["tile_ow"].val)
    whole = int(convolution.output(0).shape[3]) == tile[1]
    shape = Shape(*tile, taps=(down, across), steps=steps, apart=apart, whole=whole)
    _, _, y, x, v = stage.op.axis
    stage.reorder(y, x, v, *stage.op.reduce_axis)
    stage.tensorize(y, depthwise_tile.intrinsic(family, shape, scope=blocked.tile_scope()))
