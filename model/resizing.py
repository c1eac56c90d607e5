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
    size, others = x.shape[axis], [one for one in range(2, x.dim()) if one != axis]
    units = torch.eye(size).reshape(
        size, 1, *(size if one == axis else 1 for one in range(2, x.dim()))
    )
    units = units.expand(size, 1, *x.shape[2:])
    endless = torch.where(units > 0, torch.inf, 0.0)
    weights = _along(axis, operator(units, *options))[..., 0]
    touched = (_along(axis, operator(endless, *options)) != 0).any(-1)
    for one in others:  # one line, which no other axis reads more than once
        endless = torch.where(_middle(x.shape[one], one, x.dim()), endless, 0.0)
    alone = _along(axis, operator(endless, *options))
    # A pixel at the border stands for those beyond it: read more than once, with weights of either sign.
    opposed = alone.isnan().any(-1) & ~alone.isinf().any(-1) & (weights != 0)
    rows = [_row(*of) for of in zip(touched, weights, opposed, strict=True)]
    filled = [_filled(row, max(map(len, rows))) for row in rows]
    places, parts = torch.tensor(filled).unbind(-1)
    return places.to(torch.int32), parts.contiguous()


def _middle(size: int, axis: int, axes: int) -> Tensor:
    return (torch.arange(size) == size // 2).reshape(
        *(size if i == axis else 1 for i in range(axes))
    )


def _row(touched: Tensor, weights: Tensor, opposed: Tensor) -> list[tuple[int, float]]:
    """Place and weight of each read."""
    row: list[tuple[int, float]] = []
    for place in touched.nonzero().flatten().tolist():
        weight = float(weights[place])
        row += [(place, weight + 1), (place, -1.0)] if opposed[place] else [(place, weight)]
    return row


def _filled(row: list[tuple[int, float]], taps: int) -> list[tuple[int, float]]:
    place, weight = row[-1]
    parts = taps - len(row) + 1
    return [*row[:-1], *[(place, weight / parts)] * parts]


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
