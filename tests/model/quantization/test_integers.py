# SPDX-License-Identifier: Apache-2.0
"""The rules of integer operators, against whole and rational numbers."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mnc.model.quantization.integers import (
    Clamped,
    Mean,
    Product,
    Stored,
    Sum,
    fifteen_bits,
    identity,
    layer,
)

f32 = np.float32


def a_map(scale: float, zero_point: int, shape: tuple[int, ...] = (1, 4, 5, 5)) -> Stored:
    generator = torch.Generator().manual_seed(zero_point)
    q = torch.randint(0, 256, shape, generator=generator).float()
    return Stored(q, float(f32(scale)), zero_point)


def rounded(y: Any, zero_point: int, low: int = 0, high: int = 255) -> int:
    return min(max(round(Fraction(float(y)) + zero_point), low), high)


@pytest.mark.parametrize("groups", [1, 4])
def test_a_convolution(groups: int) -> None:
    x = a_map(0.02, 7)
    weights = torch.randint(-127, 128, (4, 4 // groups, 3, 3), dtype=torch.int8)
    scale, bias = torch.rand(4) / 50 + 0.001, torch.randn(4)
    sums = layer(x, weights, scale, bias, lambda a, b: F.conv2d(a, b, padding=1, groups=groups))
    s2 = float(f32(0.11))
    found = Clamped(sums, 0.0, 6.0).store(s2, 3)
    padded = np.full((4, 7, 7), x.zero_point)
    padded[:, 1:6, 1:6] = x.q[0].numpy()
    steps = padded.astype(int) - x.zero_point
    for o in range(4):
        worth = float(f32(x.scale)) * float(scale[o])
        start = round(Fraction(float(bias[o])) / Fraction(worth))
        inputs = steps if groups == 1 else steps[o : o + 1]
        for i in range(5):
            for j in range(5):
                window = inputs[:, i : i + 3, j : j + 3]
                acc = int((window * weights[o].numpy().astype(int)).sum()) + start
                y = f32(acc) * f32(worth / s2)
                high = min(round(6.0 / s2) + 3, 255)
                assert int(found.q[0, o, i, j]) == rounded(y, 3, 3, high)
                assert float(sums.real()[0, o, i, j]) == f32(acc) * f32(worth)


def test_sums_beyond_float32_are_exact() -> None:
    x = Stored(torch.full((1, 1024), 255.0), 0.5, 0)
    weights = torch.full((1, 1024), 127, dtype=torch.int8)
    weights[0, 0] = 126
    sums = layer(x, weights, torch.ones(1), None, F.linear)
    assert int(sums.sums) == 255 * 127 * 1024 - 255


def test_a_sum_does_not_depend_on_fused_multiply_add() -> None:
    left, right = a_map(0.037, 9), a_map(0.011, 200)
    s2 = float(f32(0.05))
    found = Sum(left, right).store(s2, 100)
    ma, mb = fifteen_bits(left.scale / s2), fifteen_bits(right.scale / s2)
    assert abs(ma / (left.scale / s2) - 1) < 2**-15
    for a, b, q in zip(left.steps.flatten(), right.steps.flatten(), found.q.flatten(), strict=True):
        fused = f32(float(Fraction(float(a)) * Fraction(ma) + Fraction(float(b)) * Fraction(mb)))
        assert f32(f32(float(a)) * f32(ma) + f32(float(b)) * f32(mb)) == fused
        assert int(q) == rounded(fused, 100)


def test_a_convolution_and_a_map_are_rounded_once() -> None:
    """The convolution's product is rounded to float32 before the map's, which is exact, is added."""
    x, other = a_map(0.037, 9), a_map(0.011, 200)
    generator = torch.Generator().manual_seed(2)
    weights = torch.randint(-127, 128, (4, 4, 1, 1), generator=generator, dtype=torch.int8)
    scale, s2 = torch.linspace(0.001, 0.004, 4), float(f32(0.05))
    sums = layer(x, weights, scale, None, F.conv2d)
    found = Sum(other, sums).store(s2, 100).q
    assert torch.equal(found, Sum(sums, other).store(s2, 100).q)
    mb = f32(fifteen_bits(other.scale / s2))
    for place in np.ndindex(*found.shape):
        worth = float(f32(scale[place[1]])) * x.scale
        product = f32(float(sums.sums[place])) * f32(worth / s2)
        assert int(found[place]) == rounded(product + f32(float(other.steps[place])) * mb, 100)


def test_a_product_and_a_mean() -> None:
    left, right = a_map(0.037, 9), a_map(0.004, 0, (1, 4, 1, 1))
    s2 = float(f32(0.03))
    found = Product(left, right).store(s2, 4).q
    integers = (left.steps * right.steps).numpy()
    y = integers.astype(f32) * f32(left.scale * right.scale / s2)
    assert found.flatten().tolist() == [rounded(one, 4) for one in y.flatten()]
    sums = left.steps.double().sum((2, 3))
    mean = Mean(sums, left.scale, 25).store(s2, 50).q
    y = sums.numpy().astype(f32) * f32(left.scale / (25 * s2))
    assert mean.flatten().tolist() == [rounded(one, 50) for one in y.flatten()]


def test_another_grid_and_a_table() -> None:
    x = a_map(0.037, 9)
    assert torch.equal(x.store(x.scale, x.zero_point).q, x.q)
    s2 = float(f32(0.05))
    y = x.steps.numpy() * f32(x.scale / s2)
    assert x.store(s2, 3).q.flatten().tolist() == [rounded(one, 3) for one in y.flatten()]
    same = identity(x).store(s2, 3).q  # in float64: as good as exact
    exact = x.steps.numpy().astype(float) * x.scale / s2
    assert same.flatten().tolist() == [rounded(one, 3) for one in exact.flatten()]
