# SPDX-License-Identifier: Apache-2.0
"""Template of the 1x1 convolution in 8-bit integers: `pointwise`'s register tile, a group of channels a step.

Takes data (N, I, H, W, i) and kernel (O, I, 1, 1, i / g, o, g) in the groups of g input channels that the
CPU's `MultiplyAdd` takes; gives int32 sums (N, O, H, W, o). The classifier is the same with one pixel.
"""

from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import blocked, instructions, pointwise

NAME = "pointwise_int8_NCHWc.mnc"
TAG = "mnc_pointwise_int8"


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
    batch, chunks, height, width, _ = topi.utils.get_const_tuple(data.shape)
    out_chunks, _, _, _, parts, out_block, group = topi.utils.get_const_tuple(kernel.shape)
    _define_space(cfg, out_chunks, height, width, parts)
    chunk = te.reduce_axis((0, chunks), name="chunk")
    part = te.reduce_axis((0, parts), name="part")
    byte = te.reduce_axis((0, group), name="byte")
    return te.compute(
        (batch, out_chunks, height, width, out_block),
        lambda n, o, y, x, v: te.sum(
            data[n, chunk, y, x, part * group + byte].astype(out_dtype)
            * kernel[o, chunk, 0, 0, part, v, byte].astype(out_dtype),
            axis=[chunk, part, byte],
        ),
        name="pointwise",
        tag=TAG,
    )


def _define_space(cfg: Any, out_chunks: int, height: int, width: int, parts: int) -> None:
    """As the float32 template's; a block of sums takes as many registers as `instructions` says."""
    registers = blocked.vector_registers() // instructions.registers_a_block()
    tile_p = pointwise.pixel_tiles(height, width, registers)
    tile_oc = blocked.divisors(out_chunks, 8 if height * width > 1 else registers - 2)
    good = blocked.tile_knobs(cfg, ("tile_oc", tile_oc), ("tile_p", tile_p), registers=registers)
    blocked.knob(cfg, "unroll", [u for u in (1, 2, 4) if parts % u == 0], min(2, parts))
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
        if (e["tile_oc"].val, e["tile_p"].val) not in good:
            return False
        if e["order"].val != pointwise.ROW_BLOCKS:
            return True
        steps = out_chunks // e["tile_oc"].val * blocks
        return height // blocks * width % e["tile_p"].val == 0 and blocked.balanced(steps, cores)

    cfg.multi_filter(filter=sensible)


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """A tile of output channels and pixels in registers over the whole reduction."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        _, inner = pointwise.tile_output(s, output, cfg)
        s[accumulator].compute_at(s[output], inner)
        stage = s[accumulator]
        _, o, y, x, v = stage.op.axis
        chunk, part, byte = stage.op.reduce_axis
        pixel = stage.fuse(y, x)
        rest, unrolled = stage.split(part, factor=cfg["unroll"].val)
        stage.reorder(chunk, rest, unrolled, pixel, o, v, byte)
        for axis in (unrolled, pixel, o):
            stage.unroll(axis)
        instructions.vectorize(stage, v, byte, *convolution.op.input_tensors)

    return blocked.schedule_convolution(outs, one, tag=TAG)
