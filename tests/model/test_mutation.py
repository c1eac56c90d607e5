# SPDX-License-Identifier: Apache-2.0
"""Writing into part of a tensor is refused by name where the whole is read afterwards, and only there."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mnc.model.mutation import lost_writes


class Network(nn.Module):
    def __init__(self, after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution, self.after = nn.Conv2d(3, 8, 3), after

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.convolution(x))


def filled(y: Tensor) -> Tensor:
    y[:, 0] = 0.5
    return y * 2


def copied(y: Tensor) -> Tensor:
    y[:, :2] = y[:, 2:4]
    return y.relu()


def scaled_in_part(y: Tensor) -> Tensor:
    y[:, 1:].mul_(2)
    return y


def scaled_under_a_view(y: Tensor) -> Tensor:
    first = y[:, 0]
    y.mul_(2)
    return y.mean() + first


def in_place(y: Tensor) -> Tensor:
    return y.relu_().view(1, 8, -1).mul_(2) + 1


def in_halves(y: Tensor) -> Tensor:
    one, other = y.chunk(2, 1)
    return torch.cat([one.relu(), other], 1)


def part_only(y: Tensor) -> Tensor:
    return y[:, :4].mul_(3).relu_()


def found(after: Callable[[Tensor], Tensor]) -> list[str]:
    network = Network(after).eval()
    traced = torch.jit.trace(network, torch.rand(1, 3, 8, 8), check_trace=False)  # type: ignore[no-untyped-call]
    return lost_writes(traced)


@pytest.mark.parametrize(
    ("after", "operator"),
    [(filled, "fill_"), (copied, "copy_"), (scaled_in_part, "mul_"), (scaled_under_a_view, "mul_")],
)
def test_what_would_be_lost_is_named_with_its_line(
    after: Callable[[Tensor], Tensor], operator: str
) -> None:
    (place,) = found(after)
    assert place.startswith(f"{operator} (")
    assert "test_mutation.py:" in place


@pytest.mark.parametrize("after", [in_place, in_halves, part_only])
def test_what_is_not_read_as_a_whole_again_is_let_through(
    after: Callable[[Tensor], Tensor],
) -> None:
    assert not found(after)
