# SPDX-License-Identifier: Apache-2.0
"""Pairs of weights stay within what x86's products of bytes hold, at the least squared error."""

import pytest
import torch

from mnc.model.quantization.weights import quantized


def sums(values: torch.Tensor) -> torch.Tensor:
    even = values.shape[1] // 2 * 2
    return (values[:, 0:even:2].int() + values[:, 1:even:2].int()).abs()


@pytest.mark.parametrize("shape", [(64, 48, 1, 1), (10, 33), (8, 2, 1, 1)])
def test_no_pair_of_a_pointwise_or_dense_layer_has_a_larger_sum(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weight[:, :2] = 3.0
    made = quantized(weight)
    assert sums(made.values).max() == 128
    error = (made.real() - weight).norm() / weight.norm()
    assert error < 0.02


def test_weights_of_opposite_signs_and_other_layers_keep_their_range() -> None:
    opposite = torch.tensor([[1.0, -1.0]])
    assert quantized(opposite).values.tolist() == [[127, -127]]
    window = torch.ones(4, 2, 3, 3)
    assert (quantized(window).values == 127).all()


def test_what_exceeds_is_taken_off_where_it_costs_least() -> None:
    """A wider range would round all others: the pair gives way, by halves."""
    row = torch.linspace(-0.5, 0.5, 254)
    weight = torch.cat([torch.tensor([0.52, 0.51]), row]).reshape(1, -1)
    made = quantized(weight)
    first, second = made.values[0, :2].tolist()
    assert first + second <= 128 and 0 <= first - second <= 4
    assert (made.real() - weight)[0, 2:].abs().max() <= 0.51 * made.scale[0] + 0.02
