# SPDX-License-Identifier: Apache-2.0
"""Weights and vectors from the plain layout to the blocked one, by numpy.

Takes floats or int8 in OIHW and (C,); gives them in OIHW{i}i{o}o and (1, C/b, 1, 1, b), with zeros in the
padding.
"""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tvm import relay

from mnc.compile.templates.blocked import FLOATS

Numbers = NDArray[Any]  # float32, float16 or int8


def convolution_kind(call: Any) -> Literal["depthwise", "full"] | None:
    """Which blocked form a Relay nn.conv2d has, groups in the full one; None for other types and layouts."""
    attrs, (data, weight) = call.attrs, call.args
    if not isinstance(weight, relay.Constant) or data.checked_type.dtype not in FLOATS:
        return None
    if (attrs.data_layout, attrs.kernel_layout) != ("NCHW", "OIHW") or attrs.out_layout not in (
        "",
        "NCHW",
    ):
        return None
    out_channels, in_channels = weight.data.shape[:2]
    is_depthwise = in_channels == 1 and 1 < attrs.groups == out_channels
    return "depthwise" if is_depthwise else "full"


def merge_groups(
    weight: Numbers, groups: int, *, in_block: int, out_block: int
) -> tuple[Numbers, int]:
    """(O, I / groups, KH, KW) for fewer groups, whole blocks of channels each, zeros between the old ones.

    A vector holds the channels of several small groups, and a multiply-add by zero costs less than sorting
    them out (though NaN in one of them is then NaN in all). Where no number of groups fits, all become one.
    """
    out, into, *size = weight.shape
    per_group = out // groups
    together = math.lcm(
        in_block // math.gcd(in_block, into), out_block // math.gcd(out_block, per_group)
    )
    merged = -(-groups // together)
    fits = all(
        merged * together * each == groups * each + -(groups * each) % block
        for each, block in ((into, in_block), (per_group, out_block))
    )
    if not fits:
        merged, together = 1, groups
    apart = _pad_axis(weight.reshape(groups, per_group, into, *size), 0, together)
    apart = apart.reshape(merged, together, per_group, into, *size)
    joined = np.zeros((merged, together, per_group, together, into, *size), weight.dtype)
    for one in range(together):
        joined[:, one, :, one] = apart[:, one]
    return joined.reshape(merged * together * per_group, together * into, *size), merged


def pack_convolution(weight: Numbers, in_block: int, out_block: int) -> Numbers:
    """(O, I, KH, KW) -> (O/o, I/i, KH, KW, i, o)."""
    weight = _pad_axis(_pad_axis(weight, 0, out_block), 1, in_block)
    out, into, height, width = weight.shape
    split = weight.reshape(out // out_block, out_block, into // in_block, in_block, height, width)
    return np.ascontiguousarray(split.transpose(0, 2, 4, 5, 3, 1))


def in_groups(packed: Numbers, group: int) -> Numbers:
    """(O, I, KH, KW, i, o) -> (O, I, KH, KW, i / g, o, g), as integer instructions read it."""
    *outer, into, out = packed.shape
    split = packed.reshape(*outer, into // group, group, out)
    return np.ascontiguousarray(np.swapaxes(split, -1, -2))


def in_pairs(weight: Numbers) -> Numbers:
    """(O, C, KH, KW) -> (O, 2, KH, P): a row of taps is one of pixels whose channels lie side by side, in
    pairs, with a zero behind it where they are odd.
    """
    out, _, height, _ = weight.shape
    rows = _pad_axis(weight.transpose(0, 2, 3, 1).reshape(out, height, -1), 2, 2)
    return rows.reshape(out, height, -1, 2).transpose(0, 3, 1, 2)


def pack_depthwise(weight: Numbers, block: int) -> Numbers:
    """(C, 1, KH, KW) -> (C/b, 1, KH, KW, 1, b)."""
    weight = _pad_axis(weight, 0, block)
    channels, _, height, width = weight.shape
    split = weight.reshape(channels // block, block, 1, height, width, 1)
    return np.ascontiguousarray(split.transpose(0, 2, 3, 4, 5, 1))


def pack_vector(vector: Numbers, block: int) -> Numbers:
    """(C,) -> (1, C/b, 1, 1, b): one number a channel."""
    vector = _pad_axis(vector, 0, block)
    return np.ascontiguousarray(vector.reshape(1, -1, 1, 1, block))


def pack_operand(value: Numbers, shape: tuple[int, ...], block: int) -> Numbers | None:
    """A constant that broadcasts against a plain (N, C, H, W) or (N, C), ready for the blocked one.

    None when it varies over anything but channels.
    """
    if value.size == 1:
        return np.asarray(value).reshape(())
    full = value.reshape((1,) * (len(shape) - value.ndim) + value.shape)
    if full.ndim != len(shape) or full.shape[1] != shape[1] or full.size != shape[1]:
        return None
    return pack_vector(full.reshape(-1), block)


def _pad_axis(array: Numbers, axis: int, multiple: int) -> Numbers:
    missing = -array.shape[axis] % multiple
    widths = [(0, missing if i == axis else 0) for i in range(array.ndim)]
    return np.pad(array, widths) if missing else array
