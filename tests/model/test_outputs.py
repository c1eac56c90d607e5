# SPDX-License-Identifier: Apache-2.0
"""Whatever a network returns is a row of tensors."""

import collections
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnc.model.outputs import tensors_of
from mnc.model.torch_run import torch_reference


class Named(collections.OrderedDict[str, object]):
    """A dict of somebody's own."""


@dataclasses.dataclass
class Detected:
    scores: Tensor
    features: object
    loss: Tensor | None = None


def test_classes_of_ones_own_are_opened_in_their_order() -> None:
    a, b, c = (torch.full((2,), float(number)) for number in range(3))
    assert tensors_of(Detected(a, Named(x=[b, None], y=Named(z=c)))) == (a, b, c)
    with pytest.raises(TypeError, match="int"):
        tensors_of(Detected(a, Named(x=3)))


def test_a_weight_may_be_an_output() -> None:
    class Given(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, self.weight

    _, weight = torch_reference(Given())(np.zeros(2, np.float32))
    assert weight.tolist() == [1, 1]
