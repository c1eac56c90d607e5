# SPDX-License-Identifier: Apache-2.0
"""Medians, quantiles and products up to each place, which the compiler's importer lacks, without sorting.

Take an ATen operator's arguments, in its schema's order; give what the operator gives, or NotImplemented.
"""

import math
from typing import Any

import torch
from torch import Tensor

from mnc.model.trace_constants import shape_of

LONGEST = 2048  # numbers along an axis, each of which is compared with all


def median(x: Tensor, axis: int | None = None, keep: bool = False) -> Any:
    """The lower of two in the middle; with `axis` its place too, the first of equals."""
    if axis is None:
        found = median(x.flatten(), 0)
        return found if found is NotImplemented else found[0]
    if _too_long(x, axis):
        return NotImplemented
    values, places = _at_rank(x, axis, (shape_of(x)[axis] - 1) // 2)
    return (values, places) if keep else (values.squeeze(axis), places.squeeze(axis))


def quantile(
    x: Tensor, q: Any, axis: int | None = None, keep: bool = False, interpolation: str = "linear"
) -> Any:
    """Of one `q` that is a number; a tensor may be worked out of the data."""
    if isinstance(q, Tensor) or (axis is None and keep):
        return NotImplemented
    x, axis = (x.flatten(), 0) if axis is None else (x, axis)
    if _too_long(x, axis):
        return NotImplemented
    at = q * (shape_of(x)[axis] - 1)
    whole = {"lower": math.floor(at), "higher": math.ceil(at), "nearest": round(at)}
    if interpolation in whole:
        made = _at_rank(x, axis, whole[interpolation])[0]
    else:
        below, above = (_at_rank(x, axis, rank)[0] for rank in (math.floor(at), math.ceil(at)))
        part = 0.5 if interpolation == "midpoint" else at - math.floor(at)
        # As torch.lerp, which tells for infinite ends.
        apart = above - below
        made = below + apart * part if part < 0.5 else above - apart * (1 - part)
    return made if keep else made.squeeze(axis)


def _too_long(x: Tensor, axis: int) -> bool:
    return shape_of(x)[axis] > LONGEST


def _at_rank(x: Tensor, axis: int, rank: int) -> tuple[Tensor, Tensor]:
    """What `rank` others along `axis` come before, and its place; NaN where one is. The axis is kept."""
    size, axis = shape_of(x)[axis], axis % x.dim()
    one, other = x.unsqueeze(axis + 1), x.unsqueeze(axis)
    places = torch.arange(size).reshape(size, *[1] * (x.dim() - axis - 1))
    earlier = places.unsqueeze(1) > places.unsqueeze(0)
    before = torch.logical_or(other < one, torch.logical_and(other == one, earlier))
    chosen = before.float().sum(axis + 1) == rank
    values = torch.where(torch.logical_or(chosen, torch.isnan(x)), x, 0.0)
    return values.sum(axis, keepdim=True), torch.where(chosen, places, 0).sum(axis, keepdim=True)


def cumulative_product(x: Tensor, axis: int, _type: int | None = None) -> Tensor:
    """Of all up to each place, by doubling: a place knows the product of 1, 2, 4 and so on."""
    size, known = shape_of(x)[axis], 1
    while known < size:
        head = x.narrow(axis, 0, known)
        rest = x.narrow(axis, known, size - known) * x.narrow(axis, 0, size - known)
        x, known = torch.cat([head, rest], axis), 2 * known
    return x
