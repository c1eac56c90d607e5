# SPDX-License-Identifier: Apache-2.0
"""Grids of least error."""

import torch
from torch import Tensor

from mnc.model.quantization.operators import fake_quantize
from mnc.model.quantization.ranges import Grid, best, grid, histogram


def error(x: Tensor, by: Grid) -> float:
    return float(((fake_quantize(x, by.scale, by.zero_point) - x) ** 2).sum())


def test_an_outlier_is_cut_where_that_costs_less() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(400_000, generator=generator), torch.tensor([10.0])])
    found = best(histogram([x[:90_000], x[90_000:]]))
    widest = grid(float(x.min()), float(x.max()))
    assert found.most < 8 and error(x, found) < 0.9 * error(x, widest)


def test_zero_is_on_the_grid_and_lowest_where_nothing_is_negative() -> None:
    x = torch.linspace(0.5, 2, 1000)
    assert best(histogram([x])).zero_point == 0
    assert best(histogram([-x])).zero_point == 255
    signed = best(histogram([torch.linspace(-1, 3, 1000)]))
    assert signed.least < -0.9 and signed.most > 2.9


def test_constants_and_what_is_no_number() -> None:
    assert best(histogram([torch.zeros(10)])) == Grid(1.0, 0)
    assert best(histogram([])) == Grid(1.0, 0)
    found = best(histogram([torch.tensor([1.0, torch.nan, torch.inf])]))
    assert found.zero_point == 0 and 0.9 < found.most < 1.1
