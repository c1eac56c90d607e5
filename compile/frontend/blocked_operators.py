# SPDX-License-Identifier: Apache-2.0
"""What stands between convolutions, in the blocked layout: elementwise, pooling, padding, resizing, joining.

Takes a Relay call and the values it reads; gives its blocked value, or None where it has no blocked form.
"""

from typing import Any

import numpy as np
from tvm import relay

from mnc.compile.frontend import packing
from mnc.compile.frontend.blocked_values import BlockedValues, Value, plain_shape
from mnc.compile.frontend.expressions import is_zero


def unary(values: BlockedValues, call: Any) -> Value | None:
    """What is computed number by number."""
    data = call.args[0]
    if not values.is_blocked(data):
        return None
    expr = relay.Call(call.op, [values.blocked(data)], call.attrs)
    return Value(expr, plain_shape(call), blocked=True)


def bias_add(values: BlockedValues, call: Any) -> Value | None:
    """A number for each channel, added."""
    data, bias = call.args
    if not values.is_blocked(data) or not isinstance(bias, relay.Constant):
        return None
    if int(call.attrs.axis) % len(plain_shape(call)) != 1:
        return None
    packed = packing.pack_vector(bias.data.numpy(), values.block)
    expr = relay.add(values.blocked(data), relay.const(packed))
    return Value(expr, plain_shape(call), blocked=True)


def binary(values: BlockedValues, call: Any) -> Value | None:
    """Of two tensors, or of one and a constant that broadcasts by channel."""
    shape = plain_shape(call)
    if not any(values.is_blocked(arg) for arg in call.args):
        return None
    args = [_operand(values, arg, shape) for arg in call.args]
    if any(arg is None for arg in args):
        return None
    if call.op.name == "divide" and (inverse := _inverse(call.args[1])) is not None:
        # A vector's division takes as long as five to ten products; hard swish has one a value.
        return Value(relay.multiply(args[0], inverse), shape, blocked=True)
    return Value(relay.Call(call.op, args, call.attrs), shape, blocked=True)


def _operand(values: BlockedValues, node: Any, shape: tuple[int, ...]) -> Any:
    """An operand in a form that broadcasts against the blocked `shape`, or None."""
    value = values[node]
    if isinstance(node, relay.Constant):
        packed = packing.pack_operand(node.data.numpy(), shape, values.block)
        return None if packed is None else relay.const(packed)
    same_channels = len(value.shape) == len(shape) and value.shape[1] == shape[1]
    if value.blocked or (same_channels and len(shape) == 4):
        return values.blocked(node) if same_channels else None
    return None


def pool(values: BlockedValues, call: Any) -> Value | None:
    """Windows of some pixels, and of all."""
    data = call.args[0]
    if not values.is_blocked(data) or call.attrs.layout != "NCHW":
        return None
    layout = f"NCHW{values.block}c"
    attrs = {key: call.attrs[key] for key in call.attrs.keys()}  # noqa: SIM118 - not a dict
    attrs |= {"layout": layout, "out_layout": layout}
    make = getattr(relay.nn, call.op.name.removeprefix("nn."))
    return Value(make(values.blocked(data), **attrs), plain_shape(call), blocked=True)


def resize(values: BlockedValues, call: Any) -> Value | None:
    """By any method: channels do not meet."""
    data = call.args[0]
    if not values.is_blocked(data) or call.attrs.layout != "NCHW":
        return None
    attrs = {key: call.attrs[key] for key in call.attrs.keys()}  # noqa: SIM118 - not a dict
    attrs["layout"] = f"NCHW{values.block}c"
    expr = relay.image.resize2d(values.blocked(data), **attrs)
    return Value(expr, plain_shape(call), blocked=True)


def pad(values: BlockedValues, call: Any) -> Value | None:
    """Further channels are zeros in the lanes that only filled a vector, and in whole blocks."""
    data, value = call.args
    widths = [tuple(int(width) for width in axis) for axis in call.attrs.pad_width]
    if not values.is_blocked(data) or len(widths) != 4 or widths[0] != (0, 0) or widths[1][0]:
        return None
    old, new = values[data].shape[1], plain_shape(call)[1]
    zeros = call.attrs.pad_mode == "constant" and is_zero(value)
    if new > old and not zeros:
        return None
    blocks = -(-new // values.block) - -(-old // values.block)
    padded = relay.nn.pad(
        values.clean(data) if new > old else values.blocked(data),
        [(0, 0), (0, blocks), *widths[2:], (0, 0)],
        value,
        pad_mode=call.attrs.pad_mode,
    )
    return Value(padded, plain_shape(call), blocked=True)


def prelu(values: BlockedValues, call: Any) -> Value | None:
    """A slope for each channel."""
    data, slope = call.args
    if not values.is_blocked(data) or not isinstance(slope, relay.Constant):
        return None
    if call.attrs.axis != 1:
        return None
    channels = slope.data.numpy().reshape(1, -1, *(1,) * (len(plain_shape(call)) - 2))
    packed = packing.pack_operand(channels, plain_shape(call), values.block)
    if packed is None:
        return None
    expr, zero = values.blocked(data), relay.const(np.zeros((), data.checked_type.dtype))
    below = relay.multiply(relay.const(packed), relay.minimum(expr, zero))
    return Value(relay.add(relay.maximum(expr, zero), below), plain_shape(call), blocked=True)


def mean(values: BlockedValues, call: Any) -> Value | None:
    """Over all pixels; a sum too."""
    data = call.args[0]
    if not values.is_blocked(data) or call.attrs.exclude or call.attrs.axis is None:
        return None
    if {int(a) % 4 for a in call.attrs.axis} != {2, 3} or len(values[data].shape) != 4:
        return None
    reduce = relay.sum if call.op.name == "sum" else relay.mean
    expr = reduce(values.blocked(data), axis=[2, 3], keepdims=True)
    return Value(expr, plain_shape(call), blocked=True)


def flatten(values: BlockedValues, call: Any) -> Value | None:
    """(N, C, 1, 1) and (N, C) hold the same bytes in the same order, blocked too."""
    data = call.args[0]
    old, new = values[data].shape, plain_shape(call)
    one_pixel = all(extent == 1 for extent in (*old[2:], *new[2:]))
    if not values.is_blocked(data) or old[:2] != new[:2] or not one_pixel:
        return None
    if len(new) not in (2, 4):
        return None
    return Value(values.blocked(data), new, blocked=True)


def concatenate(values: BlockedValues, call: Any) -> Value | None:
    """Along channels, where each part fills whole blocks."""
    parts = getattr(call.args[0], "fields", ())
    if call.attrs.axis not in (1, -3) or not all(values.is_blocked(part) for part in parts):
        return None
    shapes = [values[part].shape for part in parts]
    if any(len(shape) != 4 or shape[1] % values.block for shape in shapes):
        return None
    joined = relay.concatenate([values.blocked(part) for part in parts], axis=1)
    return Value(joined, plain_shape(call), blocked=True)


def _inverse(node: Any) -> Any:
    """One over a number of ordinary size, as a constant; None for anything else."""
    if not isinstance(node, relay.Constant) or node.checked_type.dtype != "float32":
        return None
    value = node.data.numpy()
    if value.size != 1 or not 1e-9 < abs(float(value.item())) < 1e9:
        return None
    return relay.const(np.asarray(1 / value.item(), np.float32))
