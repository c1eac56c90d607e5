# SPDX-License-Identifier: Apache-2.0
"""The 8 bits of a layer's weights: symmetric, with a scale for each output channel.

Takes float32 weights, output channels first; gives int8 weights and their scales.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mnc.model.quantization.operators import LARGEST_PAIR, LARGEST_WEIGHT

# Of a channel's largest weight, what is tried as the end of its range: below 1 the largest weights are cut.
SHARES = torch.linspace(1.0, 0.8, 21, dtype=torch.float64)
# Where pairs are cut as well: at 2 none is.
PAIR_SHARES = torch.linspace(0.8, 2.0, 25, dtype=torch.float64)


@dataclass(frozen=True)
class Weights:
    """`values` (O, ...) int8 in -127..127, `scale` (O,) float32, positive."""

    values: Tensor
    scale: Tensor

    def real(self) -> Tensor:
        """What they stand for."""
        return self.values.float() * self.scale.reshape(-1, *[1] * (self.values.dim() - 1))


def quantized(weight: Tensor) -> Weights:
    """The scales with the least squared error for each channel; 1 for a channel of zeros.

    In pointwise and dense layers no pair of neighbouring input channels, an even one and the next, has
    weights with a sum above LARGEST_PAIR: products of them and unsigned bytes have sums of 16 bits (x86's
    vpmaddubsw).
    """
    pairs = weight.shape[2:].numel() == 1
    rows = weight.detach().double().reshape(weight.shape[0], -1)
    largest = rows.abs().amax(1)
    best = torch.full_like(largest, torch.inf)
    scale = torch.ones_like(largest)
    for share in PAIR_SHARES if pairs else SHARES:
        tried = _scale(largest * share)
        error = ((_steps(rows, tried, pairs) * tried[:, None] - rows) ** 2).sum(1)
        better = error < best
        best, scale = torch.where(better, error, best), torch.where(better, tried, scale)
    values = _steps(rows, scale, pairs).to(torch.int8).reshape(weight.shape)
    return Weights(values, scale.float())


def _scale(largest: Tensor) -> Tensor:
    """As float32 holds it; weights too small for one are as good as zero."""
    scale = (largest / LARGEST_WEIGHT).float().double()
    return torch.where(scale < 1e-30, torch.ones_like(scale), scale)


def _steps(rows: Tensor, scale: Tensor, pairs: bool) -> Tensor:
    exact = rows / scale[:, None]
    steps = exact.round().clamp_(-LARGEST_WEIGHT, LARGEST_WEIGHT)
    if pairs:
        _limit(steps, exact)
    return steps


def _limit(steps: Tensor, exact: Tensor) -> None:
    """Pairs above the limit become the nearest ones at it, in place."""
    even = exact.shape[1] // 2 * 2
    first, second = steps[:, 0:even:2], steps[:, 1:even:2]
    sums = first + second
    where = (sums.abs() > LARGEST_PAIR).nonzero(as_tuple=True)
    limit = sums[where].sign() * LARGEST_PAIR
    ahead = (exact[:, 0:even:2][where] - exact[:, 1:even:2][where] + limit) / 2
    bound = LARGEST_WEIGHT
    kept = ahead.round().clamp(-bound, bound)
    kept = torch.maximum(torch.minimum(kept, limit + bound), limit - bound)
    first[where] = kept
    second[where] = limit - kept
