# SPDX-License-Identifier: Apache-2.0
"""Template of every other convolution, above all the first: direct, register-tiled, padding without a copy.

The first convolution reads the image as it is: NCHW is NCHW1c, so no layout transform stands before it.
"""

from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import blocked

NAME = "direct_NCHWc.mnc"
TAG = "mnc_direct"
HALVES = (
    21  # registers: LLVM reads a column's taps ahead, and multiplies by halves in 16 of 32 alone
)
UNROLL_COLUMNS, UNROLL_ALL_TAPS = 1, 2  # values of knob `unroll`


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
    """data (N, I, H, W, i), kernel (O, I / groups, KH, KW, i, o) -> (N, O, OH, OW, o)."""
    window = blocked.window(data, kernel, strides, padding, dilation)
    define_space(cfg, data, kernel, window)
    return product(data, kernel, window, tag=TAG)


def product(data: Any, kernel: Any, window: blocked.Window, *, tag: str, sums: str = "") -> Any:
    """The sums over taps and input channels, in the input's type unless `sums` says another; without a
    schedule.
    """
    sums = sums or data.dtype
    out_chunks, in_chunks, _, _, in_block, out_block = topi.utils.get_const_tuple(kernel.shape)
    groups = _groups(data, kernel)
    chunk = te.reduce_axis((0, in_chunks), name="chunk")
    channel = te.reduce_axis((0, in_block), name="channel")

    def tap(n: Any, o: Any, y: Any, x: Any, v: Any) -> Any:
        weight = kernel[o, chunk, window.tap_h, window.tap_w, channel, v]
        first = o // (out_chunks // groups) * in_chunks if groups > 1 else 0
        value = window.source[n, first + chunk, *window.at(y, x), channel]
        axes = [chunk, window.tap_h, window.tap_w, channel]
        return te.sum(value.astype(sums) * weight.astype(sums), axis=axes)

    shape = (int(data.shape[0]), out_chunks, window.out_h, window.out_w, out_block)
    return te.compute(shape, tap, name="direct", tag=tag)


def _groups(data: Any, kernel: Any) -> int:
    """The kernel has the input channels of one group."""
    return int(data.shape[1]) // int(kernel.shape[1])


def registers(dtype: str) -> int:
    """That hold a tile, its weights and a number."""
    return HALVES if blocked.by_element(dtype) else blocked.vector_registers()


def define_space(cfg: Any, data: Any, kernel: Any, window: blocked.Window) -> None:
    """Register tiles of the output channels of a group, which read the same input."""
    out_chunks = int(kernel.shape[0]) // _groups(data, kernel)
    tile_ow = blocked.divisors(window.out_w, blocked.vector_registers() - 3)
    good = blocked.tile_knobs(
        cfg,
        ("tile_oc", blocked.divisors(out_chunks, 8)),
        ("tile_ow", tile_ow),
        registers=registers(data.dtype),
    )
    blocked.knob(cfg, "unroll", [0, UNROLL_COLUMNS, UNROLL_ALL_TAPS], UNROLL_COLUMNS)
    cfg.multi_filter(filter=lambda e: (e["tile_oc"].val, e["tile_ow"].val) in good)


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """A tile of output channels and pixels of one row in registers, over the whole reduction."""
    return schedule_with(cfg, outs)


def schedule_with(cfg: Any, outs: Any) -> Any:
    """The schedule that `cfg` says, for sums of any type."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        s[accumulator].compute_at(s[output], tile_output(s, output, cfg))
        reduce_in_registers(s[accumulator], unroll=cfg["unroll"].val)

    return blocked.schedule_convolution(outs, one, tag=TAG)


def tile_output(s: Any, output: Any, cfg: Any) -> Any:
    """Tile and vectorize the output; returns the axis of one register tile."""
    n, o, y, x, v = s[output].op.axis
    o_outer, o_inner = s[output].split(o, factor=cfg["tile_oc"].val)
    x_outer, x_inner = s[output].split(x, factor=cfg["tile_ow"].val)
    s[output].reorder(n, o_outer, y, x_outer, x_inner, o_inner, v)
    s[output].vectorize(v)
    s[output].unroll(x_inner)
    s[output].unroll(o_inner)
    s[output].parallel(s[output].fuse(s[output].fuse(n, o_outer), y))
    return x_outer


def reduce_in_registers(stage: Any, *, unroll: int) -> None:
    """Order the loops of a register tile; `unroll` as the knob of that name."""
    n, o, y, x, v = stage.op.axis
    chunk, tap_h, tap_w, channel = stage.op.reduce_axis
    stage.reorder(n, y, chunk, tap_h, tap_w, channel, x, o, v)
    stage.vectorize(v)
    stage.unroll(x)
    stage.unroll(o)
    if unroll >= UNROLL_COLUMNS:
        stage.unroll(tap_w)
    if unroll >= UNROLL_ALL_TAPS:
        stage.unroll(tap_h)
