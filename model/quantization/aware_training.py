# SPDX-License-Identifier: Apache-2.0
"""A network as quantization-aware training has it: torch's fake_quantize behind each map and at the weights.

Takes a float module; gives one that computes in floats what 8 bits would hold, with gradients. Its ranges
follow what it sees until `freeze`.
"""

import warnings
from typing import Any

import torch
from torch import nn
from torch.ao import quantization as ao
from torch.ao.quantization import quantize_fx

from mnc.model.quantization.operators import LARGEST_WEIGHT, LEAST, MOST


def prepared(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """`module` in training mode, BN fused with the layers, for inputs of `shape`. Its buffers have their
    sizes, so that a checkpoint of another can be loaded.
    """
    mapping = ao.QConfigMapping().set_global(_scheme())
    example = torch.zeros(2, *shape[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch will give these tools up
        made: nn.Module = quantize_fx.prepare_qat_fx(module.train(), mapping, (example,))
    with torch.no_grad():
        made(example)
    return made


def freeze(module: nn.Module) -> None:
    """From now on the ranges and BN's statistics are what they are."""
    module.apply(ao.disable_observer)
    module.apply(torch.ao.nn.intrinsic.qat.freeze_bn_stats)


def _scheme() -> Any:
    """8 bits as ours: maps of 0 to 255, weights symmetric for each output channel."""
    tools: Any = ao  # whose signatures say nothing
    maps = tools.FusedMovingAvgObsFakeQuantize.with_args(
        observer=ao.MovingAverageMinMaxObserver, quant_min=LEAST, quant_max=MOST, dtype=torch.quint8
    )
    # To it, "symmetric" is not in channels of one sign: those are rounded anew when compiled.
    weights = tools.FusedMovingAvgObsFakeQuantize.with_args(
        observer=ao.MovingAveragePerChannelMinMaxObserver,
        quant_min=-LARGEST_WEIGHT,
        quant_max=LARGEST_WEIGHT,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric,
    )
    return tools.QConfig(activation=maps, weight=weights)
