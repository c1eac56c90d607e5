# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and moves of axes that the compiler's importer lacks, in terms of what it has.

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


def diff(
    x: Tensor, n: int = 1, axis: int = -1, before: Tensor | None = None, after: Tensor | None = None
) -> Tensor:
    """Differences of neighbours, `n` times."""
    x = torch.cat([one for one in (before, x, after) if one is not None], axis)
    for _ in range(n):
        size = shape_of(x)[axis]
        x = x.narrow(axis, 1, size - 1) - x.narrow(axis, 0, size - 1)
    return x


def movedim(x: Tensor, source: Any, destination: Any) -> Tensor:
    """Axes to other places, the rest in order."""
    old, new = (
        [axis % x.dim() for axis in ([axes] if isinstance(axes, int) else axes)]
        for axes in (source, destination)
    )
    rest = iter([axis for axis in range(x.dim()) if axis not in old])
    moved = dict(zip(new, old, strict=True))
    return x.permute([moved[axis] if axis in moved else next(rest) for axis in range(x.dim())])


def rot90(x: Tensor, count: int = 1, axes: Any = (0, 1)) -> Tensor:
    """A quarter turn, `count` times."""
    first, second = axes
    if count % 4 == 1:
        return x.flip(second).transpose(first, second)
    if count % 4 == 3:
        return x.flip(first).transpose(first, second)
    return x.flip(first).flip(second) if count % 4 else x.clone()
