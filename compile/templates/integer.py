# SPDX-License-Identifier: Apache-2.0
"""Templates of convolutions in 8-bit integers with 32-bit sums, in the blocked layout.

Takes data (uint8 or int8), kernel (int8) and the value that padding reads; gives int32 sums. `pointwise` uses
the CPU's instruction for dot products of four bytes where `dot_product` knows one; the depthwise and
all other convolutions are the float32 templates on widened numbers, for which LLVM finds the multiply-adds of
16-bit pairs by itself (vpdpwssd, vpmaddwd, smlal).
"""

from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import blocked, depthwise, direct, dot_product, pointwise

POINTWISE = "pointwise_int8_NCHWc.mnc"
DEPTHWISE = "depthwise_int8_NCHWc.mnc"
DIRECT = "direct_int8_NCHWc.mnc"
NAMES = (POINTWISE, DEPTHWISE, DIRECT)
POINTWISE_TAG = "mnc_pointwise_int8"
SUMS = "int32"


def template_name(
    data: tuple[int, ...], kernel: tuple[int, ...], strides: Any, padding: Any
) -> str:
    """The template for blocked `data` (N, I, H, W, i) and `kernel`, whose channels lie in fours where it has
    seven axes (O, I, KH, KW, i / 4, o, 4).
    """
    if len(kernel) == 7:
        return POINTWISE
    alone = kernel[1] == 1 and kernel[4] == 1 and data[4] == kernel[5] and data[1] == kernel[0]
    return DEPTHWISE if alone and data[4] > 1 else DIRECT


@autotvm.register_topi_compute(POINTWISE)  # type: ignore[untyped-decorator]
def compute_pointwise(
    cfg: Any,
    data: Any,
    kernel: Any,
    strides: Any,
    padding: Any,
    dilation: Any,
    pad_value: int,
    out_dtype: str,
) -> Any:
    """1x1: data (N, I, H, W, i), kernel (O, I, 1, 1, i / 4, o, 4) -> (N, O, H, W, o) in int32."""
    batch, chunks, height, width, _ = topi.utils.get_const_tuple(data.shape)
    out_chunks, _, _, _, fours, out_block, four = topi.utils.get_const_tuple(kernel.shape)
    _define_pointwise_space(cfg, out_chunks, height, width, fours)
    chunk = te.reduce_axis((0, chunks), name="chunk")
    part = te.reduce_axis((0, fours), name="part")
    byte = te.reduce_axis((0, four), name="byte")
    return te.compute(
        (batch, out_chunks, height, width, out_block),
        lambda n, o, y, x, v: te.sum(
            data[n, chunk, y, x, part * four + byte].astype(SUMS)
            * kernel[o, chunk, 0, 0, part, v, byte].astype(SUMS),
            axis=[chunk, part, byte],
        ),
        name="pointwise",
        tag=POINTWISE_TAG,
    )


def _define_pointwise_space(cfg: Any, out_chunks: int, height: int, width: int, fours: int) -> None:
    """As the float32 template's; a vector of sums takes as many registers as `dot_product` says."""
    registers = blocked.vector_registers() // dot_product.registers_a_block()
    tile_p = pointwise.pixel_tiles(height, width, registers)
    tile_oc = blocked.divisors(out_chunks, 8 if height * width > 1 else registers - 2)
    good = blocked.tile_knobs(cfg, ("tile_oc", tile_oc), ("tile_p", tile_p), registers=registers)
    blocked.knob(cfg, "unroll", [u for u in (1, 2, 4) if fours % u == 0], min(2, fours))
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


@autotvm.register_topi_schedule(POINTWISE)  # type: ignore[untyped-decorator]
def schedule_pointwise(cfg: Any, outs: Any) -> Any:
    """A tile of output channels and pixels in registers over the whole reduction, four bytes a step."""

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
        data, kernel = convolution.op.input_tensors
        step = dot_product.intrinsic(int(kernel.shape[5]), data.dtype)
        if step is None:
            stage.unroll(byte)
            stage.vectorize(v)
        else:
            stage.tensorize(v, step)

    return blocked.schedule_convolution(outs, one, tag=POINTWISE_TAG)


def _widened(template: Any) -> Any:
    """The float32 template's sums, of numbers widened to 32 bits."""

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
        window = blocked.window(data, kernel, strides, padding, dilation, pad_value=pad_value)
        template.define_space(cfg, data, kernel, window)
        return template.product(data, kernel, window, tag=template.TAG, sums=SUMS)

    return compute


# (compute, schedule) by name.
TEMPLATES = {POINTWISE: (compute_pointwise, schedule_pointwise)} | {
    name: (
        autotvm.register_topi_compute(name)(_widened(template)),
        autotvm.register_topi_schedule(name)(template.schedule_with),
    )
    for name, template in ((DEPTHWISE, depthwise), (DIRECT, direct))
}
