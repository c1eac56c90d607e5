# SPDX-License-Identifier: Apache-2.0
"""Template of every other convolution in 8-bit integers, above all the first: `direct`'s register tile, a
group of channels a step.

Takes data (N, I, H, W, i) with its border already around it and kernel (O, I / groups, KH, KW, i / g, o, g),
g input channels for each sum of the CPU's `MultiplyAdd`; gives int32 sums (N, O, OH, OW, o).
"""

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
    out_chunks, chunks, _, _, parts, out_block, group = topi.utils.get_const_tuple(kernel.shape)
    window = blocked.window(data, kernel, strides, padding, dilation)
    groups = int(data.shape[1]) // chunks
    _define_space(cfg, out_chunks // groups, window.out_w)
    chunk = te.reduce_axis((0, chunks), name="chunk")
    part = te.reduce_axis((0, parts), name="part")
    byte = te.reduce_axis((0, group), name="byte")

    def tap(n: Any, o: Any, y: Any, x: Any, v: Any) -> Any:
        first = o // (out_chunks // groups) * chunks if groups > 1 else 0
        value = window.source[n, first + chunk, *window.at(y, x), part * group + byte]
        weight = kernel[o, chunk, window.tap_h, window.tap_w, part, v, byte]
        axes = [chunk, window.tap_h, window.tap_w, part, byte]
        return te.sum(value.astype(out_dtype) * weight.astype(out_dtype), axis=axes)

    shape = (int(data.shape[0]), out_chunks, window.out_h, window.out_w, out_block)
    return te.compute(shape, tap, name="direct", tag=TAG)


def _define_space(cfg: Any, out_chunks: int, out_w: int) -> None:
    """Register tiles of the output channels of a group, which read the same input."""
    registers = blocked.vector_registers() // instructions.registers_a_block()
    tile_ow = blocked.divisors(out_w, registers - 2)
    tile_oc = blocked.divisors(out_chunks, 8)
    good = blocked.tile_knobs(cfg, ("tile_oc", tile_oc), ("tile_ow", tile_ow), registers=registers)
    blocked.knob(cfg, "unroll", [0, *UNROLL], direct.UNROLL_COLUMNS)
    cfg.multi_filter(filter=lambda e: (e["tile_oc"].val, e["tile_ow"].val) in good)


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """A tile of output channels and pixels of one row in registers, over the whole reduction."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        inner = direct.tile_output(s, output, cfg)
        stage = s[accumulator]
        stage.compute_at(s[output], inner)
        n, o, y, x, v = stage.op.axis
        chunk, tap_h, tap_w, part, byte = stage.op.reduce_axis
        stage.reorder(n, y, chunk, tap_h, tap_w, part, x, o, v, byte)
        stage.unroll(x)
        stage.unroll(o)
        if cfg["unroll"].val >= direct.UNROLL_COLUMNS:
            stage.unroll(tap_w)
        if cfg["unroll"].val >= direct.UNROLL_ALL_TAPS:
            stage.unroll(tap_h)
        instructions.vectorize(stage, v, byte, *convolution.op.input_tensors)

    return blocked.schedule_convolution(outs, one, tag=TAG)
