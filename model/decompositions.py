# SPDX-License-Identifier: Apache-2.0
"""Operators of PyTorch that the compiler's importer lacks or gets wrong, in terms of those that it has right.

Takes an ATen operator's arguments, in the order of its schema; gives what the operator gives, worked out by
other operators, or NotImplemented where this call of it is fine as it is. `script.Replay` applies them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mnc.model import arithmetic, patches
from mnc.model.trace_constants import known_now, shape_of

Decomposition = Callable[..., Any]
Ints = Sequence[int]


def _mish(x: Tensor) -> Tensor:
    return x * torch.tanh(F.softplus(x))


def _gelu(x: Tensor, approximate: str = "none") -> Any:
    if approximate == "none":
        return NotImplemented
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    return torch.where(x.abs() <= lambd, torch.zeros_like(x), x)  # NaN is no more than anything


def _softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    return torch.relu(x - lambd) - torch.relu(-x - lambd)


def _threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    return torch.where(x <= threshold, torch.full_like(x, value), x)


def _clamp(x: Tensor, least: Any = None, most: Any = None) -> Any:
    """Numbers may be infinite, and one that is missing is; it is not the largest finite one."""
    if isinstance(least, Tensor) or isinstance(most, Tensor):
        x = x if least is None else torch.maximum(x, least)
        return x if most is None else torch.minimum(x, most)
    if least is not None and most is not None:
        return NotImplemented
    return torch.clamp(x, -math.inf if least is None else least, math.inf if most is None else most)


def _clamp_max(x: Tensor, most: float) -> Any:
    return _clamp(x, None, most)


def _rrelu(
    x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *_: Any
) -> Any:
    """Without training its slope is the middle one."""
    return NotImplemented if training else F.leaky_relu(x, (lower + upper) / 2)


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
        reversed(weight.shape[2:]), reversed(_each(dilation, weight)), strict=True
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
    """A transposed convolution of a spread kernel is one of a kernel with zeros between its taps."""
    if not transposed or all(step == 1 for step in dilation):
        return NotImplemented
    with known_now():
        steps = _each(dilation, weight)
        sizes = [step * (size - 1) + 1 for size, step in zip(weight.shape[2:], steps, strict=True)]
        spread = weight.new_zeros(*weight.shape[:2], *sizes)
        taps: tuple[slice, ...] = tuple(slice(None, None, step) for step in steps)
        spread[(slice(None), slice(None), *taps)] = weight
    ones = [1] * len(steps)
    return torch.convolution(x, spread, bias, stride, padding, ones, True, output_padding, groups)


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


def _avg_pool2d(
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    """The mean over a padded map without padding of its own, times what its windows count differently."""
    if not ceil_mode and divisor is None:
        return NotImplemented
    size, steps, pads = _pair(kernel), _pair(stride or kernel), _pair(padding)

    def right(of: Tensor) -> Tensor:
        return F.avg_pool2d(of, size, steps, pads, ceil_mode, count_include_pad, divisor)

    with known_now():
        ones = torch.ones(1, 1, *x.shape[2:])
        wanted = F.avg_pool2d(ones, size, steps, pads, ceil_mode, count_include_pad, divisor)
        windows = zip(wanted.shape[2:], x.shape[2:], size, steps, pads, strict=True)
        around: list[int] = []
        for made, given, window, step, before in reversed(list(windows)):
            around += [before, max(0, (made - 1) * step + window - given - before)]
        height, width = wanted.shape[2:]
        factor = wanted / F.avg_pool2d(F.pad(ones, around), size, steps)[..., :height, :width]
        first = float(factor.flatten()[0])
        uniform = bool((factor == first).all())
    plain = F.avg_pool2d(F.pad(x, around), size, steps)[..., :height, :width]
    return plain * (first if uniform else factor)


def _pair(value: Ints) -> tuple[int, int]:
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    _momentum: float,
    eps: float,
    *_: Any,
) -> Any:
    """By the statistics of the batch itself."""
    if not training and mean is not None and variance is not None:
        return NotImplemented
    axes = [axis for axis in range(x.dim()) if axis != 1]
    return _normalised(x, axes, eps, _over_channels(weight, x), _over_channels(bias, x))


def _over_channels(vector: Tensor | None, x: Tensor) -> Tensor | None:
    return None if vector is None else vector.reshape(1, -1, *[1] * (x.dim() - 2))


def _decomposed_batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    _momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """As torch.export's decompositions leave it: its second and third results are empty."""
    empty = torch.zeros(0)
    return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), empty, empty


def _layer_norm(
    x: Tensor,
    shape: Ints,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Any:
    if len(shape) == 1 and weight is not None and bias is not None:
        return NotImplemented
    return _normalised(x, list(range(x.dim() - len(shape), x.dim())), eps, weight, bias)


def _normalised(
    x: Tensor, axes: list[int], eps: float, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    result = centred * torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *_: Any,
) -> Any:
    scores = torch.matmul(query, key.transpose(-2, -1))
    scores = scores * (1 / math.sqrt(shape_of(query)[-1]) if scale is None else scale)
    if is_causal:
        with known_now():
            allowed = torch.ones(query.shape[-2], key.shape[-2]).tril()
            later = torch.where(allowed > 0, 0.0, -math.inf)
        scores = scores + later
    if mask is not None:
        as_bias = torch.where(mask, 0.0, -math.inf) if mask.dtype == torch.bool else mask
        scores = scores + as_bias
    return torch.matmul(torch.softmax(scores, -1), value)


def _resize(operator: Any) -> Decomposition:
    """A resize is a matrix for the rows and one for the columns: those that it makes of unit vectors."""

    def resized(x: Tensor, *options: Any) -> Any:
        if _is_plain(operator, x, options):
            return NotImplemented
        with known_now():
            height, width = x.shape[2:]
            made = list(operator(x, *options).shape)
            unit = torch.eye(height).reshape(1, height, height, 1).repeat(1, 1, 1, width)
            rows = operator(unit, *options)[0, :, :, 0].T.contiguous()
            unit = torch.eye(width).reshape(1, width, 1, width).repeat(1, 1, height, 1)
            columns = operator(unit, *options)[0, :, 0, :].contiguous()
            flat = [made[0] * made[1], height, width]
        tall = torch.matmul(rows, x.reshape(flat))
        return torch.matmul(tall, columns).reshape(made)

    return resized


def _is_plain(operator: Any, x: Tensor, options: tuple[Any, ...]) -> bool:
    """Whether Relay's resize, which knows sizes only, gives the same: the scale is that of the sizes."""
    if operator not in (torch.ops.aten.upsample_bilinear2d, torch.ops.aten.upsample_nearest2d):
        return False
    scales = next((one for one in options if _are_floats(one)), None)
    if scales is None:
        return True
    return all(
        float(size * scale).is_integer() for size, scale in zip(x.shape[2:], scales, strict=True)
    )


def _are_floats(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, float) for one in value)


RESIZES = (
    "upsample_bilinear2d upsample_nearest2d upsample_bicubic2d _upsample_nearest_exact2d "
    "_upsample_bilinear2d_aa _upsample_bicubic2d_aa"
).split()

DECOMPOSITIONS: dict[str, Decomposition] = {
    "aten::mish": _mish,
    "aten::gelu": _gelu,
    "aten::hardshrink": _hardshrink,
    "aten::softshrink": _softshrink,
    "aten::threshold": _threshold,
    "aten::clamp": _clamp,
    "aten::clamp_min": _clamp,
    "aten::clamp_max": _clamp_max,
    "aten::channel_shuffle": _channel_shuffle,
    "aten::native_channel_shuffle": _channel_shuffle,
    "aten::pixel_unshuffle": _pixel_unshuffle,
    "aten::_convolution_mode": _convolution_mode,
    "aten::_convolution": _convolution,
    "aten::pad": _pad,
    "aten::avg_pool2d": _avg_pool2d,
    "aten::batch_norm": _batch_norm,
    "aten::_native_batch_norm_legit_no_training": _decomposed_batch_norm,
    "aten::layer_norm": _layer_norm,
    "aten::scaled_dot_product_attention": _attention,
    "aten::im2col": patches.im2col,
    "aten::col2im": patches.col2im,
    "aten::rrelu": _rrelu,
    "aten::cosine_similarity": arithmetic.cosine_similarity,
    "aten::cdist": arithmetic.cdist,
    "aten::exp2": arithmetic.exp2,
    "aten::lerp": arithmetic.lerp,
    "aten::nan_to_num": arithmetic.nan_to_num,
    "aten::diff": arithmetic.diff,
    "aten::movedim": arithmetic.movedim,
    "aten::rot90": arithmetic.rot90,
    **{f"aten::{name}": _resize(getattr(torch.ops.aten, name)) for name in RESIZES},
}
