# SPDX-License-Identifier: Apache-2.0
"""Operators of PyTorch that the compiler's importer lacks or gets wrong, in terms of those that it has right.

Takes an ATen operator's arguments, in the order of its schema; gives what the operator gives, worked out by
other operators, or NotImplemented where this call of it is fine as it is. `script.Replay` applies them.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mnc.model import (
    activations,
    arithmetic,
    attention,
    moves,
    normalisation,
    order_statistics,
    patches,
    pooling,
    resizing,
)
from mnc.model.trace_constants import known_now, shape_of

Decomposition = Callable[..., Any]
Ints = Sequence[int]
FLOAT, DOUBLE = 6, 7  # as TorchScript writes the types


def _named(module: ModuleType, names: str) -> dict[str, Decomposition]:
    """Those that are called as the operator is."""
    return {f"aten::{name}": getattr(module, name) for name in names.split()}


def _channel_shuffle(x: Tensor, groups: int) -> Tensor:
    batch, channels, *size = shape_of(x)
    split = x.reshape(batch, groups, channels // groups, *size)
    return split.transpose(1, 2).reshape(batch, channels, *size)


def _pixel_unshuffle(x: Tensor, factor: int) -> Tensor:
    batch, channels, height, width = shape_of(x)
    split = x.reshape(batch, channels, height // factor, factor, width // factor, factor)
    moved = split.permute(0, 1, 3, 5, 2, 4)
    return moved.reshape(batch, channels * factor**2, height // factor, width // factor)


def _convolution_mode(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: str,
    dilation: Ints,
    groups: int,
) -> Tensor:
    """padding="same" puts the odd one after."""
    before_and_after: list[int] = []
    for size, step in zip(
        reversed(shape_of(weight)[2:]), reversed(_each(dilation, weight)), strict=True
    ):
        total = step * (size - 1) if padding == "same" else 0
        before_and_after += [total // 2, total - total // 2]
    padded = F.pad(x, before_and_after) if any(before_and_after) else x
    zeros = [0] * (weight.dim() - 2)
    plain = torch.conv1d if weight.dim() == 3 else torch.conv2d
    return plain(
        padded, weight, bias, _each(stride, weight), zeros, _each(dilation, weight), groups
    )


def _each(value: Ints, weight: Tensor) -> list[int]:
    """One number for each axis of the image."""
    axes = weight.dim() - 2
    return list(value) * axes if len(value) == 1 else list(value)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    transposed: bool,
    output_padding: Ints,
    groups: int,
    *_: Any,
) -> Any:
    """A transposed convolution of a spread kernel is one of a kernel with zeros between its taps. What is
    given once for all axes, as export does, is given for each.
    """
    beyond = _each(output_padding, weight)
    steps, pads, spacing = (_each(one, weight) for one in (stride, padding, dilation))
    if not transposed or all(step == 1 for step in spacing):
        if (steps, pads, spacing) == (list(stride), list(padding), list(dilation)):
            return NotImplemented
        return torch.convolution(x, weight, bias, steps, pads, spacing, transposed, beyond, groups)
    with known_now():
        reach = [
            step * (size - 1) + 1 for size, step in zip(weight.shape[2:], spacing, strict=True)
        ]
        # What is to be beyond the last pixel are further taps of zero: as many as a stride are refused.
        sizes = [one + more for one, more in zip(reach, beyond, strict=True)]
        spread = weight.new_zeros(*weight.shape[:2], *sizes)
        taps = (slice(None, *of) for of in zip(reach, spacing, strict=True))
        spread[(slice(None), slice(None), *taps)] = weight
    ones, none = [1] * len(spacing), [0] * len(spacing)
    return torch.convolution(x, spread, bias, steps, pads, ones, True, none, groups)


def _pad(x: Tensor, pad: Ints, mode: str = "constant", value: float | None = None) -> Any:
    """Circular: what lies at the other end comes first."""
    if mode != "circular":
        return NotImplemented
    for i in range(0, len(pad), 2):
        axis, (before, after) = x.dim() - 1 - i // 2, pad[i : i + 2]
        size = shape_of(x)[axis]
        parts = [x.narrow(axis, size - before, before)] if before > 0 else []
        parts += [x.narrow(axis, max(0, -before), size + min(0, before) + min(0, after))]
        parts += [x.narrow(axis, 0, after)] if after > 0 else []
        x = torch.cat(parts, axis) if len(parts) > 1 else parts[0]
    return x


def _to(x: Tensor, *options: Any) -> Any:
    """No network is worked out in double precision."""
    return x.float() if DOUBLE in options[:2] else NotImplemented


def _div(one: Any, other: Any, rounding: str | None = None) -> Any:
    """Rounded, which the importer forgets."""
    if rounding is None:
        return NotImplemented
    return torch.floor(one / other) if rounding == "floor" else torch.trunc(one / other)


def _cast(x: Tensor, kind: int) -> Tensor:
    """To a type as TorchScript writes it."""
    made: Tensor = torch.ops.aten.to.dtype(x, kind)
    return made.float() if made.dtype == torch.float64 else made


def _chunk(x: Tensor, count: int, axis: int = 0) -> list[Tensor]:
    """The last may be smaller."""
    size = shape_of(x)[axis]
    step = -(-size // count)
    return [x.narrow(axis, at, min(step, size - at)) for at in range(0, size, step)]


def _linspace(first: float, last: float, count: int, kind: int | None, *_: Any) -> Any:
    """Of as many numbers as a map has rows, say: the importer takes a count that is written out alone."""
    if kind not in (None, FLOAT):
        return NotImplemented
    with known_now():
        return torch.linspace(float(first), float(last), int(count))


def _sum(x: Tensor, *options: Any) -> Any:
    """Of booleans: how many are true."""
    if x.dtype != torch.bool:
        return NotImplemented
    numbers = x.to(torch.int64 if options[-1] is None else torch.float32)
    return torch.sum(numbers, *options[:-1])


DECOMPOSITIONS: dict[str, Decomposition] = {
    "aten::channel_shuffle": _channel_shuffle,
    "aten::native_channel_shuffle": _channel_shuffle,
    "aten::pixel_unshuffle": _pixel_unshuffle,
    "aten::_convolution_mode": _convolution_mode,
    "aten::_convolution": _convolution,
    "aten::pad": _pad,
    "aten::avg_pool2d": pooling.avg_pool2d,
    **{f"aten::{name}": pooling.adaptive for name in pooling.ADAPTIVE},
    **{
        f"aten::{name}": pooling.max_pool(getattr(torch.ops.aten, name)) for name in pooling.MAXIMUM
    },
    "aten::scaled_dot_product_attention": attention.scaled_dot_product,
    "aten::_native_multi_head_attention": attention.native_multi_head,
    "aten::_transformer_encoder_layer_fwd": attention.transformer_encoder_layer,
    "aten::to": _to,
    "aten::div": _div,
    "aten::chunk": _chunk,
    # As torch.export's decompositions leave them.
    "aten::_softmax": lambda x, axis, _: torch.softmax(x, axis),
    "aten::_log_softmax": lambda x, axis, _: torch.log_softmax(x, axis),
    "aten::_to_copy": lambda x, kind, *_: x.clone() if kind is None else _cast(x, kind),
    "aten::native_layer_norm": normalisation.decomposed_layer_norm,
    "aten::_adaptive_avg_pool2d": F.adaptive_avg_pool2d,
    "aten::alias": torch.clone,
    "aten::grid_sampler_2d": torch.grid_sampler,
    "aten::_cdist_forward": arithmetic.cdist,
    "aten::native_group_norm": normalisation.decomposed_group_norm,
    "aten::_unsafe_view": lambda x, shape: x.reshape(shape),
    "aten::linspace": _linspace,
    "aten::sum": _sum,
    "aten::batch_norm": normalisation.batch_norm,
    "aten::_native_batch_norm_legit_no_training": normalisation.decomposed_batch_norm,
    "aten::_native_batch_norm_legit": normalisation.batch_norm_legit,
    "aten::layer_norm": normalisation.layer_norm,
    "aten::group_norm": normalisation.group_norm,
    "aten::rms_norm": normalisation.rms_norm,
    **_named(activations, "elu mish gelu hardshrink softshrink threshold clamp clamp_max rrelu"),
    "aten::clamp_min": activations.clamp,
    **_named(patches, "im2col col2im unfold"),
    **_named(
        arithmetic, "cosine_similarity cdist exp2 lerp nan_to_num std_mean nansum nanmean aminmax"
    ),
    **_named(
        arithmetic,
        "expm1 asinh acosh atanh erfc frac sgn logit sinc hypot atan2 xlogy bilinear dist",
    ),
    **_named(
        arithmetic, "logaddexp logsumexp copysign fmin fmax bitwise_or bitwise_xor deg2rad rad2deg"
    ),
    **_named(moves, "index diff movedim rot90 tril triu diagonal linalg_cross"),
    **_named(moves, "copy slice_scatter select_scatter meshgrid"),
    **_named(order_statistics, "median quantile"),
    "aten::cumprod": order_statistics.cumulative_product,
    "aten::feature_alpha_dropout": activations.dropout,
    **{f"aten::{name}": resizing.resize(getattr(torch.ops.aten, name)) for name in resizing.NAMES},
}
