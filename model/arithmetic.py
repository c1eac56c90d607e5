# SPDX-License-Identifier: Apache-2.0
"""Arithmetic that the compiler's importer lacks, in terms of what it has.

Take an ATen operator's arguments, in its schema's order; give what the operator gives, or NotImplemented.
"""

import math
from typing import Any

import torch
from torch import Tensor

from mnc.model.trace_constants import shape_of

LARGEST = torch.finfo(torch.float32).max


def cosine_similarity(one: Tensor, other: Tensor, axis: int = 1, eps: float = 1e-8) -> Tensor:
    """Of vectors along `axis`, no shorter than `eps`."""
    lengths = [(x * x).sum(axis).sqrt().clamp(min=eps) for x in (one, other)]
    return (one * other).sum(axis) / (lengths[0] * lengths[1])


def cdist(one: Tensor, other: Tensor, p: float = 2.0, *_: Any) -> Any:
    """The distance of each row of one to each of the other."""
    if p != 2:
        return NotImplemented
    difference = one.unsqueeze(-2) - other.unsqueeze(-3)
    return (difference * difference).sum(-1).sqrt()


def exp2(x: Tensor) -> Tensor:
    """Two to the power of `x`."""
    return torch.exp(x * math.log(2))


def lerp(start: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """From `start` to `end` as `weight` goes from 0 to 1."""
    return start + (end - start) * weight


def nan_to_num(
    x: Tensor, nan: float | None = None, most: float | None = None, least: float | None = None
) -> Tensor:
    """Numbers in the place of NaN and infinities."""
    x = torch.where(torch.isnan(x), 0.0 if nan is None else nan, x)
    x = torch.where(x == math.inf, LARGEST if most is None else most, x)
    return torch.where(x == -math.inf, -LARGEST if least is None else least, x)


def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1, to all digits."""
    return torch.tanh(x / 2) * (torch.exp(x) + 1)


def asinh(x: Tensor) -> Tensor:
    """By the logarithm of the larger of its two forms."""
    size = x.abs()
    return torch.sign(x) * torch.log(size + torch.sqrt(size * size + 1))


def acosh(x: Tensor) -> Tensor:
    """NaN below 1."""
    return torch.log(x + torch.sqrt(x * x - 1))


def atanh(x: Tensor) -> Tensor:
    """NaN beyond -1 and 1."""
    return 0.5 * torch.log((1 + x) / (1 - x))


def erfc(x: Tensor) -> Tensor:
    """1 - erf(x)."""
    return 1 - torch.erf(x)


def frac(x: Tensor) -> Tensor:
    """What is behind the point."""
    return x - torch.trunc(x)


def sgn(x: Tensor) -> Tensor:
    """-1, 0 or 1."""
    return torch.sign(x)


def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """The inverse of the sigmoid."""
    x = x if eps is None else torch.clamp(x, eps, 1 - eps)
    return torch.log(x / (1 - x))


def sinc(x: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = x * math.pi
    return torch.where(x == 0, 1.0, torch.sin(angle) / angle)


def hypot(one: Tensor, other: Tensor) -> Tensor:
    """The long side of a right triangle."""
    return torch.sqrt(one * one + other * other)


def atan2(y: Tensor, x: Tensor) -> Tensor:
    """The angle of (x, y), -pi to pi."""
    half = torch.atan(y / x)
    turned = half + torch.where(y < 0, -math.pi, math.pi)
    upright = torch.sign(y) * (math.pi / 2)
    return torch.where(x > 0, half, torch.where(x < 0, turned, upright))


def xlogy(x: Tensor, y: Tensor) -> Tensor:
    """x log(y), and 0 where x is."""
    return torch.where(x == 0, 0.0, x * torch.log(y))


def logaddexp(one: Tensor, other: Tensor) -> Tensor:
    """The logarithm of the sum of two exponentials."""
    apart = torch.where(one == other, 0.0, (one - other).abs())
    return torch.maximum(one, other) + torch.log1p(torch.exp(-apart))


def logsumexp(x: Tensor, axes: Any, keep: bool = False) -> Tensor:
    """The logarithm of the sum of exponentials; the largest, where it is infinite, is all there is."""
    largest = torch.amax(x, axes, keepdim=True)
    shift = torch.where(largest.abs() == math.inf, 0.0, largest)
    total = torch.log(torch.sum(torch.exp(x - shift), axes, keepdim=True)) + shift
    return total if keep else torch.amax(total, axes)


def copysign(x: Tensor, sign: Any) -> Tensor:
    """The size of `x`; zero counts as positive."""
    return x.abs() * torch.where(torch.as_tensor(sign) < 0, -1.0, 1.0)


def fmin(one: Tensor, other: Tensor) -> Tensor:
    """The smaller, or the one that is a number."""
    return torch.where(
        torch.isnan(one), other, torch.where(torch.isnan(other), one, torch.minimum(one, other))
    )


def fmax(one: Tensor, other: Tensor) -> Tensor:
    """The larger, or the one that is a number."""
    return -fmin(-one, -other)


def bitwise_or(one: Tensor, other: Any) -> Any:
    """Of booleans."""
    return torch.logical_or(one, other) if one.dtype == torch.bool else NotImplemented


def bitwise_xor(one: Tensor, other: Any) -> Any:
    """Of booleans."""
    return torch.logical_xor(one, other) if one.dtype == torch.bool else NotImplemented


def deg2rad(x: Tensor) -> Tensor:
    """Degrees to radians."""
    return x * (math.pi / 180)


def rad2deg(x: Tensor) -> Tensor:
    """Radians to degrees."""
    return x * (180 / math.pi)


def std_mean(x: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    """The deviation, and the mean."""
    axes, correction, keep = (None, *options, False) if len(options) == 1 else options
    less = 1 if correction is None else int(correction)
    variance, mean = torch.var_mean(x, axes, correction=less, keepdim=keep)
    return variance.sqrt(), mean


def aminmax(x: Tensor, axis: int | None = None, keep: bool = False) -> tuple[Tensor, Tensor]:
    """The least and the largest."""
    axes = list(range(x.dim())) if axis is None else [axis]
    return torch.amin(x, axes, keep), torch.amax(x, axes, keep)


def bilinear(one: Tensor, other: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Of each vector of one, a matrix for each output, and the vector of the other."""
    outputs, inner, outer = weight.shape
    matrix = weight.permute(1, 0, 2).reshape(inner, outputs * outer)
    rows = torch.matmul(one, matrix)
    rows = rows.reshape([*shape_of(rows)[:-1], outputs, outer])
    result = (rows * other.unsqueeze(-2)).sum(-1)
    return result if bias is None else result + bias


def nanmean(x: Tensor, axes: Any = None, keep: bool = False, *_: Any) -> Tensor:
    """Of what is a number."""
    numbers = torch.logical_not(torch.isnan(x)).float()
    return nansum(x, axes, keep) / nansum(numbers, axes, keep)


def dist(one: Tensor, other: Tensor, p: float = 2.0) -> Any:
    """The norm of the difference."""
    return torch.norm(one - other, p)


def nansum(x: Tensor, axes: Any = None, keep: bool = False, *_: Any) -> Tensor:
    """Of what is a number."""
    numbers = torch.where(torch.isnan(x), 0.0, x)
    return torch.sum(numbers) if axes is None else torch.sum(numbers, axes, keep)
