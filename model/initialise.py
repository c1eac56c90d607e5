# SPDX-License-Identifier: Apache-2.0
"""Seeded weights for networks that nobody trained, lively enough to test a compiler with.

Takes a module with BN layers; fills it so that signals keep their scale through every layer, logits
depend on the image, and every BN statistic matters (a folding mistake shows).
"""

import numpy as np
import torch
from torch import Tensor, nn


def randomise(module: nn.Module, input_shape: tuple[int, ...], *, seed: int = 0) -> None:
    """Uniform weights of He's variance, then BN statistics measured on a batch of smooth noise.

    numpy's generator draws the values: unlike torch's normal draws they do not depend on the CPU.
    For the same reason statistics are measured in double precision and kept to 4 digits.
    """
    random = np.random.default_rng(seed)
    norms = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            bound = float(np.sqrt(6 / fan_in))
            _fill(layer.weight, random, -bound, bound)
            if layer.bias is not None:
                _fill(layer.bias, random, -0.1, 0.1)
        elif isinstance(layer, nn.BatchNorm2d):
            # Mostly positive shifts: without them rounding errors double every few layers, which
            # trained networks do not do, and no parity tolerance would mean anything.
            _fill(layer.weight, random, 0.5, 1.5)
            _fill(layer.bias, random, 0.0, 2.0)
            norms.append(layer)
    module.double().train()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of this one batch
    with torch.no_grad():
        module(smooth_noise((8, *input_shape[1:]), random))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        for statistic in (norm.running_mean, norm.running_var):
            if statistic is not None:
                statistic.copy_(torch.tensor(_four_digits(statistic.numpy())))
    module.float().eval()


def smooth_noise(shape: tuple[int, ...], random: np.random.Generator) -> Tensor:
    """Double tensor (N, C, H, W) in -1..1: coarse blobs under fine grain, as photographs have."""
    coarse = torch.tensor(random.uniform(-1, 1, (*shape[:2], 7, 7)))
    fine = torch.tensor(random.uniform(-1, 1, shape))
    blobs = nn.functional.interpolate(coarse, size=shape[2:], mode="nearest")
    return 0.8 * blobs + 0.2 * fine


def _fill(parameter: Tensor, random: np.random.Generator, low: float, high: float) -> None:
    values = random.uniform(low, high, tuple(parameter.shape)).astype(np.float32)
    with torch.no_grad():
        parameter.copy_(torch.tensor(values))


def _four_digits(values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> list[float]:
    return [float(f"{value:.3e}") for value in values]
