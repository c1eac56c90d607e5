# SPDX-License-Identifier: Apache-2.0
"""Template of a large 1x1 convolution with bias and activation by Strassen's product: seven for eight.

The output's quarters (halves of pixels, halves of channels) are sums of seven products of sums of the map's
quarters and sums of the weights', which are worked out when the network is compiled (`strassen_weights`).
Winograd's form of it: four additions of quarters of the map, made here, and those of the output for next to
nothing, since what one product has summed is what another starts from (`strassen_products`). float32 on
AArch64.
"""

from typing import Any

from tvm import autotvm, te, topi

from mnc.compile.templates import (
    blocked,
    lane_assembly,
    lane_pointwise,
    strassen_kernel,
    strassen_products,
)
from mnc.compile.templates.strassen_kernel import (
    CHANNEL_OUTER,
    PIXEL_OUTER,
    PRODUCT_OUTER,
    Layer,
)
from mnc.compile.templates.strassen_products import BLOCK

NAME = "strassen_NCHWc.mnc"


@autotvm.register_topi_compute(NAME)  # type: ignore[untyped-decorator]
def compute(cfg: Any, data: Any, kernel: Any, bias: Any, activation: str, out_dtype: str) -> Any:
    """data (N, I, H, W, i), kernel and bias as `strassen_weights` packs them -> (N, O, H, W, o)."""
    batch, _, height, width, _ = topi.utils.get_const_tuple(data.shape)
    out_blocks, products, in_blocks = topi.utils.get_const_tuple(kernel.shape)[:3]
    half = -(-height * width // 2)
    _define_space(cfg, out_blocks, half, even=height * width % 2 == 0)
    cfg.add_flop(2 * products * batch * half * out_blocks * in_blocks * BLOCK * BLOCK)
    layer = Layer(
        batch=batch,
        out_blocks=out_blocks,
        in_blocks=in_blocks,
        height=height,
        width=width,
        activation=activation,
        channels=cfg["tile_oc"].val,
        pixels=cfg["tile_p"].val,
        lanes=cfg["lanes"].val,
        prefetch=bool(cfg["prefetch"].val),
        order=cfg["order"].val,
    )
    return te.extern(
        [(batch, 2 * out_blocks, height, width, BLOCK)],
        [data, *_sums(layer, data), kernel, bias],
        lambda ins, outs: strassen_kernel.body(layer, ins, outs[0]),
        name="products",
        dtype=out_dtype,
    )


def _define_space(cfg: Any, out_blocks: int, half: int, *, even: bool) -> None:
    """The tile is of a quarter of the output. Halves of an odd number of pixels have one in common, and are a
    tile each.
    """
    most = lane_pointwise.KERNELS * lane_assembly.most_pixels(1, lanes=2)
    divisors = blocked.divisors(half, most) if even else []
    tile_oc = [c for c in lane_pointwise.CHANNELS if out_blocks % c == 0]
    tile_p = [p for p in divisors if p >= lane_pointwise.LEAST] or [half]
    blocked.knob(cfg, "tile_oc", tile_oc, tile_oc[0] if blocked.in_order() else tile_oc[:2][-1])
    blocked.knob(cfg, "tile_p", tile_p, tile_p[-1])
    blocked.knob(cfg, "lanes", [2, 4], 2 if blocked.in_order() else 4)
    blocked.knob(cfg, "prefetch", [0, 1], 1)
    orders = [CHANNEL_OUTER, *([PIXEL_OUTER] if len(tile_p) > 1 else []), PRODUCT_OUTER]
    blocked.knob(cfg, "order", orders, CHANNEL_OUTER)


def _sums(layer: Layer, data: Any) -> Any:
    def value(n: Any, chunk: Any, pixel: Any, v: Any) -> tuple[Any, ...]:
        def quarter(half: int, channels: int) -> Any:
            at = pixel + half * layer.second
            block = chunk + channels * layer.in_blocks
            return data[n, block, at // layer.width, at % layer.width, v]

        return strassen_products.sums(*(quarter(p, c) for p in (0, 1) for c in (0, 1)))

    return te.compute((layer.batch, layer.in_blocks, layer.half, BLOCK), value, name="sums")


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(_cfg: Any, outs: Any) -> Any:
    """The sums of the map's quarters by blocks of channels, then the products."""
    (out,) = [outs] if isinstance(outs, te.tensor.Tensor) else outs
    s = te.create_schedule(out.op)
    sums = s[out.op.input_tensors[1].op]
    n, chunk, _, v = sums.op.axis
    sums.vectorize(v)
    sums.parallel(sums.fuse(n, chunk))
    return s
