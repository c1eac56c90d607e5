# SPDX-License-Identifier: Apache-2.0
"""Bilinear resizing that reads at the borders what PyTorch reads, a pixel of weight zero too, so that
infinities spread as they do there. Importing this module registers it; it takes NCHW and NCHW{b}c.
"""

from typing import Any

import tvm
from tvm import relay, te, topi
from tvm.relay.op import op as registry
from tvm.relay.op.strategy import generic

NAME = "image.resize2d"
_STOCK = relay.op.get(NAME).get_attr("FTVMCompute")


def resize(data: Any, size: tuple[int, int]) -> Any:
    """`data` with `size` rows and columns, pixels as squares (`align_corners=False`)."""
    height, width = (int(extent) for extent in data.shape[2:4])

    def pixel(n: Any, c: Any, y: Any, x: Any, *lane: Any) -> Any:
        (top, bottom, down), (left, right, along) = (
            _neighbours(y, height, size[0]),
            _neighbours(x, width, size[1]),
        )
        upper = _between(data(n, c, top, left, *lane), data(n, c, top, right, *lane), along)
        lower = _between(data(n, c, bottom, left, *lane), data(n, c, bottom, right, *lane), along)
        return _between(upper, lower, down)

    shape = (*data.shape[:2], *size, *data.shape[4:])
    return te.compute(shape, pixel, name="resize", tag=topi.tag.INJECTIVE)


def _neighbours(place: Any, before: int, after: int) -> tuple[Any, Any, Any]:
    """The two pixels that one of the result lies between, and how far behind the first."""
    half = tvm.tir.const(0.5, "float32")
    scale = tvm.tir.const(before / after, "float32")
    zero = tvm.tir.const(0.0, "float32")
    source = te.max((place.astype("float32") + half) * scale - half, zero)
    first = te.min(te.floor(source).astype("int32"), before - 1)
    return first, te.min(first + 1, before - 1), source - first.astype("float32")


def _between(one: Any, other: Any, weight: Any) -> Any:
    return one * (tvm.tir.const(1.0, "float32") - weight) + other * weight


def _compute(attrs: Any, inputs: Any, out_type: Any) -> Any:
    (data,) = inputs
    fits = attrs.method == "linear" and attrs.coordinate_transformation_mode == "half_pixel"
    if not fits or not attrs.layout.startswith("NCHW") or data.dtype != "float32":
        return _STOCK(attrs, inputs, out_type)
    height, width = (int(extent) for extent in attrs.size)
    return [resize(data, (height, width))]


@tvm.target.override_native_generic_func("mnc_resize2d_strategy")  # type: ignore[untyped-decorator]
def _strategy(attrs: Any, inputs: Any, out_type: Any, target: Any) -> Any:
    answer = registry.OpStrategy()
    answer.add_implementation(_compute, generic.schedule_injective, name="mnc_resize2d")
    return answer


registry.register_strategy(NAME, _strategy, level=11)  # before TVM's own, which has level 10
