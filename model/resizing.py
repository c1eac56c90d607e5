# SPDX-License-Identifier: Apache-2.0
"""Resizes of maps as PyTorch has them, of every kind and number of axes: sums of few pixels each.

Takes one of ATen's operators; gives a function of its arguments that reads what the operator reads, pixels of
weight zero too, through which NaN and infinities spread.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mnc.model.trace_constants import known_now, shape_of

NAMES = (
    "upsample_nearest1d upsample_linear1d upsample_bilinear2d upsample_nearest2d upsample_bicubic2d "
    "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa "
    "upsample_nearest3d _upsample_nearest_exact3d upsample_trilinear3d"
).split()


def resize(operator: Any) -> Callable[..., Any]:
    """The operator, an axis at a time."""

    def resized(x: Tensor, *options: Any) -> Any:
        if _is_plain(operator, x, options):
            return NotImplemented
        with known_now():
            taps = [_taps(operator, x, options, axis) for axis in range(2, x.dim())]
        for axis, (places, weights) in enumerate(taps, 2):
            x = _read(x, axis, places, weights)
        return x

    return resized


def _read(x: Tensor, axis: int, places: Tensor, weights: Tensor) -> Tensor:
    """Sums along `axis` of the pixels at `places`, (size, taps), by their weights."""
    shape, made = shape_of(x), shape_of(places)
    read = x.index_select(axis, places.flatten())
    if made[1] == 1:
        return read
    read = read.reshape([*shape[:axis], *made, *shape[axis + 1 :]])
    return (read * weights.reshape(*made, *[1] * (x.dim() - axis - 1))).sum(axis + 1)


def _taps(operator: Any, x: Tensor, options: tuple[Any, ...], axis: int) -> tuple[Tensor, Tensor]:
    """Which pixels each pixel of the result is made of, along `axis`, and their weights: both (size, taps).

    One that is made of fewer has the last of them in parts.
    """
    size, axes = x.shape[axis], range(2, x.dim())
    units = torch.eye(size).reshape(size, 1, *(size if one == axis else 1 for one in axes))
    units = units.expand(size, 1, *x.shape[2:])
    weights = _along(axis, operator(units, *options))[..., 0]
    endless = _along(axis, operator(torch.where(units > 0, torch.inf, 0.0), *options))
    touched = (endless != 0).any(-1)
    # A pixel at the border stands for those beyond it: read more than once, with weights of either sign.
    opposed = endless.isnan().all(-1) & (weights != 0)
    counts = touched.sum(1, keepdim=True)
    order = (2 * touched.int() - opposed.int()).argsort(dim=1, descending=True, stable=True)
    part = torch.arange(int(counts.max())) - counts + 1  # of the last
    places = order.gather(1, torch.minimum(part, torch.tensor(0)) + counts - 1)
    weights, parts = weights.gather(1, places), part.amax(1, keepdim=True) + 1
    even = weights / torch.where(part < 0, 1, parts)
    apart = torch.where(part == 0, weights + 1, torch.where(part == 1, -1.0, 0.0))
    split = opposed.gather(1, places) & (part >= 0) & (parts > 1)
    return places.to(torch.int32), torch.where(split, apart, even)


def _along(axis: int, made: Tensor) -> Tensor:
    """What became of each unit, at each place along the other axes: (size made, units, places)."""
    return made.movedim(axis, 1).flatten(2).transpose(0, 1)


def _is_plain(operator: Any, x: Tensor, options: tuple[Any, ...]) -> bool:
    """Whether Relay's resize, which knows sizes only, gives the same: the scale is that of the sizes."""
    if operator not in (torch.ops.aten.upsample_bilinear2d, torch.ops.aten.upsample_nearest2d):
        return False
    with known_now():
        made = operator(torch.zeros(1, 1, *x.shape[2:]), *options).shape[2:]
    if any(one is True for one in options) and 1 in made:  # corners of one pixel
        return False
    scales = [one for one in _flat(options) if isinstance(one, float)]
    return all(
        float(size * scale).is_integer()
        for size, scale in zip(shape_of(x)[2:], scales, strict=False)
    )


def _flat(options: tuple[Any, ...]) -> list[Any]:
    return [part for one in options for part in (one if isinstance(one, list | tuple) else [one])]
