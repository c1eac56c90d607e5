# SPDX-License-Identifier: Apache-2.0
"""Template of every other convolution in 8-bit integers, above all the first: `direct`'s register tile, a
group of channels a step.

Takes data (N, I, H, W, i) with its border already around it and kernel (O, I / groups, KH, KW, i / g, o, g),
g input channels for each sum of the CPU's `MultiplyAdd`; gives int32 sums (N, O, OH, OW, o).
"""

from collections.abc import Callable
from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import blocked, direct, instructions

NAME = "direct_grouped_int8_NCHWc.mnc"
TAG = "mnc_direct_grouped_int8"
UNROLL = (direct.UNROLL_COLUMNS, direct.UNROLL_ALL_TAPS)


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
    """The sums over taps and input channels; `padding` is none."""
    window = blocked.window(data, kernel, strides, padding, dilation)
    groups = int(data.shape[1]) // int(kernel.shape[1])
    good = define_tile(cfg, int(kernel.shape[0]) // groups, window.out_w, "tile_ow")
    cfg.multi_filter(filter=good)
    return product(data, kernel, window, out_dtype, tag=TAG)


def product(data: Any, kernel: Any, window: blocked.Window, sums: str, *, tag: str) -> Any:
    """The sums over taps and input channels, of type `sums`, without a schedule."""
    out_chunks, chunks, _, _, parts, out_block, group = topi.utils.get_const_tuple(kernel.shape)
    groups = int(data.shape[1]) // chunks
    chunk = te.reduce_axis((0, chunks), name="chunk")
    part = te.reduce_axis((0, parts), name="part")
    byte = te.reduce_axis((0, group), name="byte")

    def tap(n: Any, o: Any, y: Any, x: Any, v: Any) -> Any:
        first = o // (out_chunks // groups) * chunks if groups > 1 else 0
        value = window.source[n, first + chunk, *window.at(y, x), part * group + byte]
        weight = kernel[o, chunk, window.tap_h, window.tap_w, part, v, byte]
        axes = [chunk, window.tap_h, window.tap_w, part, byte]
        return te.sum(value.astype(sums) * weight.astype(sums), axis=axes)

    shape = (int(data.shape[0]), out_chunks, window.out_h, window.out_w, out_block)
    return te.compute(shape, tap, name="direct", tag=tag)


def define_tile(cfg: Any, out_chunks: int, out_w: int, pixels: str) -> Callable[[Any], bool]:
    """Knobs of a register tile of a group's output channels, which read the same input, and of as many pixels
    as the knob of that name says; gives which configs are worth a trial.
    """
    registers = blocked.vector_registers() // instructions.registers_a_block()
    tiles = blocked.divisors(out_w, registers - 2)
    tile_oc = blocked.divisors(out_chunks, 8)
    good = blocked.tile_knobs(cfg, ("tile_oc", tile_oc), (pixels, tiles), registers=registers)
    blocked.knob(cfg, "unroll", [0, *UNROLL], direct.UNROLL_COLUMNS)
    return lambda e: (e["tile_oc"].val, e[pixels].val) in good


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """A tile of output channels and pixels of one row in registers, over the whole reduction."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        s[accumulator].compute_at(s[output], direct.tile_output(s, output, cfg))
        sum_in_registers(s[accumulator], convolution, unroll=cfg["unroll"].val)

    return blocked.schedule_convolution(outs, one, tag=TAG)


def sum_in_registers(stage: Any, convolution: Any, *, unroll: int) -> None:
    """Order the loops of a register tile; `unroll` as the knob of that name."""
    n, o, y, x, v = stage.op.axis
    chunk, tap_h, tap_w, part, byte = stage.op.reduce_axis
    stage.reorder(n, y, chunk, tap_h, tap_w, part, x, o, v, byte)
    stage.unroll(x)
    stage.unroll(o)
    if unroll >= direct.UNROLL_COLUMNS:
        stage.unroll(tap_w)
    if unroll >= direct.UNROLL_ALL_TAPS:
        stage.unroll(tap_h)
    instructions.vectorize(stage, v, byte, *convolution.op.input_tensors)
