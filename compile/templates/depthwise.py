# SPDX-License-Identifier: Apache-2.0
"""Template of the depthwise convolution: a tile of pixels in registers, padding without a copy.

One vector holds b channels of a pixel, so every multiply-add is vertical. The accumulators of a
`tile_oh` x `tile_ow` tile stay in registers while the taps pass over them; the border is a test around
single loads, and only around those that the unrolled tile cannot prove to be inside.
"""

from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import blocked

NAME = "depthwise_NCHWc.mnc"
TAG = "mnc_depthwise"
# Values of knob `parallel_rows`: what the cores share out. With blocks of rows, loops over channels inside, a
# core finds in its own cache what it wrote in the layer before, where that shared out rows as well.
CHANNELS, CHANNELS_AND_ROWS, ROW_BLOCKS = 0, 1, 2


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
    """data (N, C, H, W, b), kernel (C, 1, KH, KW, 1, b) -> (N, C, OH, OW, b)."""
    window = blocked.window(data, kernel, strides, padding, dilation)
    define_space(cfg, data, kernel, window)
    return product(data, kernel, window, tag=TAG)


def product(data: Any, kernel: Any, window: blocked.Window, *, tag: str, sums: str = "") -> Any:
    """The sums over the taps, in the input's type unless `sums` says another; without a schedule."""
    sums = sums or data.dtype
    batch, chunks, _, _, block = topi.utils.get_const_tuple(data.shape)

    def tap(n: Any, c: Any, y: Any, x: Any, v: Any) -> Any:
        weight = kernel[c, 0, window.tap_h, window.tap_w, 0, v]
        value = window.source[n, c, *window.at(y, x), v]
        return te.sum(value.astype(sums) * weight.astype(sums), axis=[window.tap_h, window.tap_w])

    shape = (batch, chunks, window.out_h, window.out_w, block)
    return te.compute(shape, tap, name="depthwise", tag=tag)


def define_space(cfg: Any, data: Any, kernel: Any, window: blocked.Window) -> None:
    """Tiles that divide the output and fit the registers beside a weight and a load; ways to share out that
    keep all cores busy.
    """
    chunks, out_h, out_w = int(kernel.shape[0]), window.out_h, window.out_w
    most = blocked.vector_registers() - 2
    tile_ow = blocked.divisors(out_w, most)
    tile_oh = blocked.divisors(out_h, 4)
    default = max((w for w in tile_ow if w <= 14), default=1)
    blocked.knob(cfg, "tile_ow", tile_ow, default)
    blocked.knob(cfg, "tile_oh", tile_oh, 1)
    blocked.knob(cfg, "unroll_rows", [0, 1], 0)
    blocks = blocked.row_blocks(out_h)
    ways = [CHANNELS, CHANNELS_AND_ROWS, *([ROW_BLOCKS] if blocks > 1 else [])]
    cores = blocked.cores()
    keep = blocked.keeps_rows(out_h)
    blocked.knob(cfg, "parallel_rows", ways, ROW_BLOCKS if keep else CHANNELS_AND_ROWS)
    least = min(4, max(tile_ow))
    cfg.multi_filter(
        filter=lambda e: (
            least <= e["tile_ow"].val * e["tile_oh"].val <= most
            and (e["parallel_rows"].val != ROW_BLOCKS or out_h // blocks % e["tile_oh"].val == 0)
            and (e["parallel_rows"].val != CHANNELS or blocked.balanced(chunks, cores))
            and (e["parallel_rows"].val == ROW_BLOCKS or not keep)
        )
    )


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """A tile of pixels outside, the taps inside; bias and activation in the store of the tile."""
    return schedule_with(cfg, outs)


def schedule_with(cfg: Any, outs: Any) -> Any:
    """The schedule that `cfg` says, for sums of any type."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        n, c, y, x, v = s[output].op.axis
        if cfg["parallel_rows"].val == ROW_BLOCKS:
            n, y = blocked.split_rows(s[output], n, c, y)
        y_outer, y_inner = s[output].split(y, factor=cfg["tile_oh"].val)
        x_outer, x_inner = s[output].split(x, factor=cfg["tile_ow"].val)
        s[output].reorder(n, c, y_outer, x_outer, y_inner, x_inner, v)
        s[output].vectorize(v)
        s[output].unroll(x_inner)
        s[output].unroll(y_inner)
        parallel = s[output].fuse(n, c)
        if cfg["parallel_rows"].val == CHANNELS_AND_ROWS:
            parallel = s[output].fuse(parallel, y_outer)
        s[output].parallel(parallel)
        s[accumulator].compute_at(s[output], x_outer)
        schedule_taps(s[accumulator], unroll_rows=bool(cfg["unroll_rows"].val))

    return blocked.schedule_convolution(outs, one, tag=TAG)


def schedule_taps(stage: Any, *, unroll_rows: bool) -> None:
    """Order the loops of a tile of pixels: the taps outside, all columns of one unrolled."""
    n, c, y, x, v = stage.op.axis
    tap_h, tap_w = stage.op.reduce_axis
    stage.reorder(n, c, tap_h, tap_w, y, x, v)
    stage.vectorize(v)
    stage.unroll(x)
    stage.unroll(y)
    stage.unroll(tap_w)
    if unroll_rows:
        stage.unroll(tap_h)
