# SPDX-License-Identifier: Apache-2.0
"""Convolutions and dense layers of floats in the blocked layout, their weights packed here by numpy, once.

Takes a Relay call and the values it reads; gives its blocked value, or None where it has no blocked form.
"""

from typing import Any

from tvm import relay

from mnc.compile.frontend import packing
from mnc.compile.frontend.blocked_values import BlockedValues, Value, plain_shape


def convolution(values: BlockedValues, call: Any) -> Value | None:
    """Depthwise ones keep their channels; groups are merged to whole vectors."""
    kind = packing.convolution_kind(call)
    if kind is None:
        return None
    weight = call.args[1].data.numpy()
    # Relay has (C, multiplier, KH, KW) where a channel gives several.
    weight = weight.reshape(plain_shape(call)[1], -1, *weight.shape[2:])
    make = _depthwise if kind == "depthwise" else _full
    return Value(make(values, call, weight), plain_shape(call), blocked=True)


def _depthwise(values: BlockedValues, call: Any, weight: packing.Numbers) -> Any:
    channels = weight.shape[0] + -weight.shape[0] % values.block
    return relay.nn.contrib_depthwise_conv2d_nchwc(
        values.blocked(call.args[0]),
        relay.const(packing.pack_depthwise(weight, values.block)),
        groups=channels,
        channels=channels,
        data_layout=f"NCHW{values.block}c",
        kernel_layout=f"OIHW1i{values.block}o",
        **_attributes(values, call, weight),
    )


def _full(values: BlockedValues, call: Any, weight: packing.Numbers) -> Any:
    channels = weight.shape[0] + -weight.shape[0] % values.block
    source, in_block = convolution_input(values, call.args[0])
    groups = int(call.attrs.groups)
    if groups > 1:
        weight, groups = packing.merge_groups(
            weight, groups, in_block=in_block, out_block=values.block
        )
    return relay.nn.contrib_conv2d_nchwc(
        source,
        relay.const(packing.pack_convolution(weight, in_block, values.block)),
        groups=groups,
        channels=channels,
        data_layout=f"NCHW{in_block}c",
        kernel_layout=f"OIHW{in_block}i{values.block}o",
        **_attributes(values, call, weight),
    )


def _attributes(values: BlockedValues, call: Any, weight: packing.Numbers) -> dict[str, Any]:
    """What Relay's two blocked convolutions are both told."""
    attrs = {name: call.attrs[name] for name in ("strides", "padding", "dilation")}
    if weight.shape[2:] == (1, 1):
        attrs["dilation"] = (1, 1)
    return attrs | {"kernel_size": weight.shape[2:], "out_layout": f"NCHW{values.block}c"}


def dense(values: BlockedValues, call: Any) -> Value | None:
    """On a blocked vector a dense layer is a pointwise convolution of one pixel."""
    data, weight = call.args
    if not values.is_blocked(data) or not isinstance(weight, relay.Constant):
        return None
    if len(values[data].shape) != 2:
        return None
    block, numbers = values.block, weight.data.numpy()[:, :, None, None]
    expr = relay.nn.contrib_conv2d_nchwc(
        values.clean(data),
        relay.const(packing.pack_convolution(numbers, block, block)),
        channels=numbers.shape[0] + -numbers.shape[0] % block,
        kernel_size=(1, 1),
        data_layout=f"NCHW{block}c",
        kernel_layout=f"OIHW{block}i{block}o",
        out_layout=f"NCHW{block}c",
    )
    return Value(expr, plain_shape(call), blocked=True)


def convolution_input(values: BlockedValues, data: Any, group: int = 1) -> tuple[Any, int]:
    """An image of few channels is read as NCHW1c, which is the same bytes, or in the fewest whole
    `group`s; others are blocked.
    """
    value = values[data]
    channels = value.shape[1]
    if value.blocked or channels >= values.block:
        return values.clean(data), values.block
    if group == 1:
        return relay.reshape(value.expr, (*value.shape, 1)), 1
    missing = -channels % group
    filled = relay.nn.pad(value.expr, ((0, 0), (0, missing), (0, 0), (0, 0)))
    layout = f"NCHW{channels + missing}c"
    return relay.layout_transform(filled, "NCHW", layout), channels + missing
