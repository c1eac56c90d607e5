# SPDX-License-Identifier: Apache-2.0
"""The 8 bits of a layer's weights: symmetric, with a scale for each output channel.

Takes float32 weights, output channels first; gives int8 weights and their scales.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mnc.model.quantization.operators import LARGEST_WEIGHT

SHARES = (
    21  # of a channel's largest weight, from 0.8 of it on, that are tried as the end of its range
)


@dataclass(frozen=True)
class Weights:
    """`values` (O, ...) int8 in -127..127, `scale` (O,) float32, positive."""

    values: Tensor
    scale: Tensor

    def real(self) -> Tensor:
        """What they stand for."""
        return self.values.float() * self.scale.reshape(-1, *[1] * (self.values.dim() - 1))


def quantized(weight: Tensor) -> Weights:
    """The scales with the least squared error for each channel; 1 for a channel of zeros."""
    rows = weight.detach().double().reshape(weight.shape[0], -1)
    largest = rows.abs().amax(1)
    best = torch.full_like(largest, torch.inf)
    scale = torch.ones_like(largest)
    for share in torch.linspace(1.0, 0.8, SHARES, dtype=torch.float64):
        tried = _scale(largest * share)
        error = ((_steps(rows, tried) * tried[:, None] - rows) ** 2).sum(1)
        better = error < best
        best, scale = torch.where(better, error, best), torch.where(better, tried, scale)
    values = _steps(rows, scale).to(torch.int8).reshape(weight.shape)
    return Weights(values, scale.float())


def _scale(largest: Tensor) -> Tensor:
    """As float32 holds it; weights too small for one are as good as zero."""
    scale = (largest / LARGEST_WEIGHT).float().double()
    return torch.where(scale < 1e-30, torch.ones_like(scale), scale)


def _steps(rows: Tensor, scale: Tensor) -> Tensor:
    return (rows / scale[:, None]).round().clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT)
