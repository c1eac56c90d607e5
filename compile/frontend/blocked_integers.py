# SPDX-License-Identifier: Apache-2.0
"""Operators of 8-bit integers in the blocked layout, weights in the order that the instructions read.

Takes a Relay call, made by `quantized`, and the values it reads; gives its blocked value, or None.
"""

from typing import Any

import numpy as np
from tvm import relay

from mnc.compile.frontend import markers, packing, storing
from mnc.compile.frontend.blocked_convolutions import convolution_input
from mnc.compile.frontend.blocked_values import BlockedValues, Value, plain_shape
from mnc.compile.frontend.expressions import is_call
from mnc.compile.templates import (
    instructions,
    integer_depthwise,
    integer_image,
    lookup,
    packed_image,
)

LARGE = 16  # pixels of a map that is worth a kernel of its own


def convolution(values: BlockedValues, call: Any) -> Value:
    """`markers`' convolution of integers, depthwise, grouped or full."""
    data, weight, attrs = call.args[0], call.args[1].data.numpy(), call.attrs
    groups, per_group = int(attrs["groups"]), weight.shape[1]
    fit = instructions.fit(weight)
    weight = weight if fit else weight.astype(np.int16)  # for which there are plain vectors
    names = ("strides", "padding", "dilation", "pad_value")
    kept = {name: attrs[name] for name in names}
    if per_group == 1 and 1 < groups == weight.shape[0]:
        source, packed = values.blocked(data), packing.pack_depthwise(weight, values.block)
        if integer_depthwise.fits(plain_shape(data)[3], attrs["dilation"]):
            packed = packing.in_groups(packed, 1)
    elif fit and (image := _image(values, call, weight, kept)) is not None:
        source, packed, groups = *image, 1
    else:
        plain = [int(v) for v in (*attrs["strides"], *attrs["padding"])] == [1, 1, 0, 0, 0, 0]
        one_to_one = weight.shape[2:] == (1, 1) and plain and groups == 1
        group = instructions.weight_group(weight, pointwise=one_to_one) if fit else 1
        source, in_block = convolution_input(values, data, group)
        if groups > 1:
            weight, groups = packing.merge_groups(
                weight, groups, in_block=in_block, out_block=values.block
            )
        packed = packing.pack_convolution(weight, in_block, values.block)
        if group > 1 and in_block % group == 0:
            packed = packing.in_groups(packed, group)
            source = _packed(values, data, kept) or _bordered(source, kept, data.checked_type.dtype)
            kept["padding"] = (0, 0, 0, 0)
    expr = markers.convolution(source, relay.const(packed), blocked=True, groups=groups, **kept)
    return Value(expr, plain_shape(call), blocked=True)


def table(values: BlockedValues, call: Any) -> Value | None:
    """A table looked up for each number: by vectors, where the CPU does that and the map is not small."""
    entries, data = call.args
    if not values.is_blocked(data) or not isinstance(entries, relay.Constant):
        return None
    if len(entries.data.shape) != 1:
        return None
    stored = data.args[0] if is_call(data, "cast") else data
    stored = stored.args[0] if is_call(stored, "reinterpret") else stored
    if _looked_up_by_vectors(values, stored, entries):
        found = markers.looked_up(values.blocked(stored), entries)
        return Value(found, plain_shape(call), blocked=True)
    found = relay.take(entries, values.blocked(data), mode="fast")
    return Value(found, plain_shape(call), blocked=True)


def _looked_up_by_vectors(values: BlockedValues, stored: Any, entries: Any) -> bool:
    batch, channels, *size = plain_shape(stored)
    if len(size) != 2 or size[0] * size[1] < LARGE:
        return False
    shape = (batch, -(-channels // values.block), *size, values.block)
    bytes_ = "int8", "uint8"
    one_byte = stored.checked_type.dtype in bytes_ and entries.data.dtype in bytes_
    return one_byte and entries.data.shape[0] == 256 and lookup.available(shape) is not None


def _image(
    values: BlockedValues, call: Any, weight: packing.Numbers, kept: dict[str, Any]
) -> tuple[Any, packing.Numbers] | None:
    """An image in pairs of bytes, and weights for these, for the template that reads such; changes what is
    `kept` of the attributes to suit. None where that does not apply.
    """
    data, (_, channels, *taps) = call.args[0], weight.shape
    image, steps = plain_shape(data), [int(step) for step in kept["strides"]]
    apart = [int(step) for step in kept["dilation"]]
    if not instructions.multiplies_pairs() or image[1] != channels or apart != [1, 1]:
        return None
    _, left, _, right = (int(pad) for pad in kept["padding"])
    width = image[3] + left + right
    sizes = integer_image.in_pairs(channels, (taps[1], width, plain_shape(call)[3]), steps[1])
    packed = _packed(values, data, kept, pairs=sizes[1]) if sizes else None
    if packed is None or sizes is None:
        return None
    kept |= {"strides": (steps[0], sizes[2]), "padding": (0, 0, 0, 0)}
    pairs = packing.pack_convolution(packing.in_pairs(weight), packed_image.PAIR, values.block)
    return packed, packing.in_groups(pairs, packed_image.PAIR)


def _packed(values: BlockedValues, data: Any, attrs: Any, *, pairs: int = 0) -> Any:
    """An image and its border, stored by vectors, in rows of so many `pairs` of bytes or in words; None for
    what is no image or was stored before.
    """
    found = storing.rounded_product(data)
    if found is None or not packed_image.available(plain_shape(data)):
        return None
    image, by, zero = found
    border = tuple(int(pad) for pad in attrs["padding"])
    fill, dtype = int(attrs["pad_value"]), data.checked_type.dtype
    return markers.packed(
        values.plain(image),
        by=by,
        zero=zero,
        border=border,
        fill=fill,
        dtype=dtype,
        pairs=pairs,
    )


def _bordered(source: Any, attrs: Any, dtype: str) -> Any:
    """Blocked `source` of this type with the border around it that a convolution's `padding` asks for."""
    top, left, bottom, right = (int(pad) for pad in attrs["padding"])
    if not (top or left or bottom or right):
        return source
    value = relay.const(np.asarray(int(attrs["pad_value"]), dtype))
    return relay.nn.pad(source, [(0, 0), (0, 0), (top, bottom), (left, right), (0, 0)], value)
