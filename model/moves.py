# SPDX-License-Identifier: Apache-2.0
"""Moves and choices of elements that the compiler's importer lacks, in terms of what it has.

Take an ATen operator's arguments, in its schema's order; give what the operator gives.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mnc.model.trace_constants import known_now, shape_of


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


def index(x: Tensor, places: list[Tensor | None]) -> Any:
    """By a mask of one axis that is a constant: how much it chooses is known. Others are refused before."""
    mask = places[-1]
    if (
        mask is None
        or mask.dtype != torch.bool
        or mask.dim() != 1
        or any(one is not None for one in places[:-1])
    ):
        return NotImplemented
    with known_now():
        chosen = mask.nonzero().flatten()
    return x.index_select(len(places) - 1, chosen)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """Zeros above the diagonal."""
    with known_now():
        kept = torch.ones(x.shape[-2:]).tril(diagonal) > 0
    return torch.where(kept, x, 0.0)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """Zeros below the diagonal."""
    with known_now():
        kept = torch.ones(x.shape[-2:]).triu(diagonal) > 0
    return torch.where(kept, x, 0.0)


def diagonal(x: Tensor, offset: int = 0, one: int = 0, other: int = 1) -> Tensor:
    """The diagonal of two axes, as the last: every so many elements of them in a row."""
    x = movedim(x, [one, other], [-2, -1])
    *outer, height, width = shape_of(x)
    start = offset if offset >= 0 else -offset * width
    length = min(height, width - offset) if offset >= 0 else min(height + offset, width)
    flat = x.reshape([*outer, height * width])
    return flat[..., start : start + (length - 1) * (width + 1) + 1 : width + 1]


def linalg_cross(one: Tensor, other: Tensor, axis: int = -1) -> Tensor:
    """Of vectors of three along `axis`."""
    first = one.roll(-1, axis) * other.roll(-2, axis)
    return first - one.roll(-2, axis) * other.roll(-1, axis)


def copy(x: Tensor, source: Tensor, _wait: bool = False) -> Tensor:
    """The source in the shape of `x`."""
    return source.expand(shape_of(x)).clone()


def slice_scatter(
    x: Tensor,
    source: Tensor,
    axis: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    """`x` with a slice of it replaced."""
    if step != 1:
        return NotImplemented
    size = shape_of(x)[axis]
    first, last, _ = slice(start, end).indices(size)
    parts = [x.narrow(axis, 0, first), source, x.narrow(axis, last, size - last)]
    return torch.cat([one for one in parts if shape_of(one)[axis]], axis)


def select_scatter(x: Tensor, source: Tensor, axis: int, at: int) -> Any:
    """`x` with one plane of it replaced."""
    at %= shape_of(x)[axis]
    return slice_scatter(x, source.unsqueeze(axis), axis, at, at + 1)


def meshgrid(axes: Sequence[Tensor], indexing: str = "ij") -> Any:
    """With the first two axes changed about, which the importer passes over."""
    if indexing == "ij" or len(axes) < 2:
        return NotImplemented
    return [one.transpose(0, 1) for one in torch.meshgrid(*axes, indexing="ij")]
