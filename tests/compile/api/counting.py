# SPDX-License-Identifier: Apache-2.0
"""Networks of a person's own: one that is right, and one that no compiler gets right."""

import torch
from torch import nn


class Counting(nn.Module):
    """Adds how often it was called: a trace has one number for good, PyTorch another each time."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten())
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Other outputs each time."""
        self.calls += 1
        counted: torch.Tensor = self.layers(x) + float(self.calls)
        return counted


def right() -> nn.Module:
    """The same without the count."""
    torch.manual_seed(0)
    return Counting().layers.eval()


def wrong() -> nn.Module:
    """A network whose compiled outputs are not PyTorch's."""
    torch.manual_seed(0)
    return Counting().eval()
