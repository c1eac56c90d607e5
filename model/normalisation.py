# SPDX-License-Identifier: Apache-2.0
"""Normalisations that the compiler's importer lacks, in terms of means and roots.

Take an ATen operator's arguments, in its schema's order; give what the operator gives, or NotImplemented.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mnc.model.trace_constants import shape_of

Ints = Sequence[int]


def batch_norm(
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


def decomposed_batch_norm(
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


def batch_norm_legit(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """As `decomposed_batch_norm`. `rest`: statistics or none, whether it trains, momentum, epsilon."""
    *statistics, training, momentum, eps = rest
    mean, variance = statistics or (None, None)
    empty = torch.zeros(0)
    return F.batch_norm(x, mean, variance, weight, bias, training, momentum, eps), empty, empty


def layer_norm(
    x: Tensor,
    shape: Ints,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Any:
    """Over several axes, or without a weight or a bias."""
    if len(shape) == 1 and weight is not None and bias is not None:
        return NotImplemented
    return _normalised(x, list(range(x.dim() - len(shape), x.dim())), eps, weight, bias)


def decomposed_layer_norm(
    x: Tensor, shape: Ints, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As torch.export's decompositions leave it: nobody reads its second and third results."""
    empty = torch.zeros(0)
    return F.layer_norm(x, list(shape), weight, bias, eps), empty, empty


def decomposed_group_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    _batch: int,
    _channels: int,
    _pixels: int,
    groups: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `decomposed_layer_norm`."""
    empty = torch.zeros(0)
    return F.group_norm(x, groups, weight, bias, eps), empty, empty


def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    *_: Any,
) -> Any:
    """Without a weight or a bias."""
    if weight is not None and bias is not None:
        return NotImplemented
    shape = shape_of(x)
    split = x.reshape(shape[0], groups, -1)
    normal = _normalised(split, [2], eps, None, None).reshape(shape)
    return _scaled(normal, _over_channels(weight, x), _over_channels(bias, x))


def rms_norm(x: Tensor, shape: Ints, weight: Tensor | None, eps: float | None) -> Tensor:
    """By the root of the mean square."""
    axes = list(range(x.dim() - len(shape), x.dim()))
    least = torch.finfo(torch.float32).eps if eps is None else eps
    normal = x * torch.rsqrt((x * x).mean(axes, keepdim=True) + least)
    return _scaled(normal, weight, None)


def _normalised(
    x: Tensor, axes: list[int], eps: float, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    normal = centred * torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps)
    return _scaled(normal, weight, bias)


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias
