# SPDX-License-Identifier: Apache-2.0
"""Networks that leave half precision's range."""

import torch
from torch import Tensor, nn


class Loud(nn.Module):
    """Its second layer gives a million, its third takes that back."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.loud = nn.Conv2d(8, 16, 1)
        self.quiet = nn.Conv2d(16, 8, 1)
        self.loud.weight.data *= 1e6
        self.quiet.weight.data *= 1e-6

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.quiet(torch.relu(self.loud(self.first(x)))).mean((2, 3))
        return made
