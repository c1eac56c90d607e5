# SPDX-License-Identifier: Apache-2.0
"""The 8 bits of an activation: the scale and zero point with the least mean squared error over a histogram.

Takes the values that calibration saw; gives a `Grid`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Floats = np.ndarray[Any, np.dtype[np.float64]]
BINS = 2048
STEPS = 255
SHARES = np.linspace(0.2, 1.0, 33)  # of the range that was seen, which a first search tries
FINER = np.linspace(-0.03, 0.03, 13)  # around the best of them


@dataclass(frozen=True)
class Grid:
    """How an activation is stored: q in 0..255 stands for (q - zero_point) * scale, `scale` a float32."""

    scale: float
    zero_point: int

    @property
    def least(self) -> float:
        """The smallest value that it holds."""
        return -self.zero_point * self.scale

    @property
    def most(self) -> float:
        """The largest value that it holds."""
        return (STEPS - self.zero_point) * self.scale


@dataclass(frozen=True)
class Histogram:
    """How often values fell near each of `centers`; `least` and `most` are the extremes, and hold zero."""

    centers: Floats
    counts: Floats
    least: float
    most: float


def histogram(values: Sequence[Tensor]) -> Histogram:
    """Of all `values` together, those that are no numbers left out."""
    finite = [
        one if bool(torch.isfinite(one).all()) else one[torch.isfinite(one)] for one in values
    ]
    finite = [one for one in finite if one.numel()]
    least = min([0.0, *(float(one.min()) for one in finite)])
    most = max([0.0, *(float(one.max()) for one in finite)])
    if least == most:
        return Histogram(np.zeros(1), np.ones(1), 0.0, 0.0)
    counts = np.zeros(BINS)
    for one in finite:
        counts += torch.histc(one, BINS, least, most).double().numpy()
    edges = np.linspace(least, most, BINS + 1)
    return Histogram((edges[1:] + edges[:-1]) / 2, counts, least, most)


def best(seen: Histogram) -> Grid:
    """The grid with the least squared error. Zero is on it; where no value is negative it is the lowest."""
    if seen.least == seen.most:
        return Grid(1.0, 0)
    low, high = _search(seen, SHARES, SHARES)
    low, high = _search(seen, np.clip(low + FINER, 0.01, 1.0), np.clip(high + FINER, 0.01, 1.0))
    return grid(low * seen.least, high * seen.most)


def grid(least: float, most: float) -> Grid:
    """The grid from `least` to `most`, moved so that zero is on it."""
    scale = float(np.float32(max((most - least) / STEPS, 1e-20)))
    return Grid(scale, int(np.clip(np.rint(-least / scale), 0, STEPS)))


def _search(seen: Histogram, lows: Floats, highs: Floats) -> tuple[float, float]:
    """The shares of the extremes, of those given, with the least error; the widest of equals."""
    if seen.least == 0:
        lows = np.ones(1)
    if seen.most == 0:
        highs = np.ones(1)
    filled = seen.counts > 0
    centers, counts = seen.centers[filled], seen.counts[filled]
    found = (np.inf, 1.0, 1.0)
    for low in lows[::-1]:
        errors = _errors(low * seen.least, highs[::-1] * seen.most, centers, counts)
        place = int(errors.argmin())
        if errors[place] < found[0]:
            found = (errors[place], float(low), float(highs[::-1][place]))
    return found[1:]


def _errors(least: float, most: Floats, centers: Floats, counts: Floats) -> Floats:
    """The squared error of each grid from `least` to one of `most`."""
    scale = np.maximum((most - least) / STEPS, 1e-20)[:, None]
    zero = np.rint(-least / scale)
    steps = np.clip(np.rint(centers / scale) + zero, 0, STEPS) - zero
    error: Floats = ((steps * scale - centers) ** 2) @ counts
    return error
