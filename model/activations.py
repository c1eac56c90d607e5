# SPDX-License-Identifier: Apache-2.0
"""Activations that the compiler's importer lacks or gets wrong, in terms of what it has.

Take an ATen operator's arguments, in its schema's order; give what the operator gives, or NotImplemented.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def mish(x: Tensor) -> Tensor:
    return x * torch.tanh(F.softplus(x))


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    """With scales: CELU, and SELU as torch.export's decompositions leave it."""
    if scale == input_scale == 1:
        return NotImplemented
    return scale * torch.where(x > 0, x, alpha * (torch.exp(x * input_scale) - 1))


def gelu(x: Tensor, approximate: str = "none") -> Any:
    if approximate == "none":
        return NotImplemented
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    return torch.where(x.abs() <= lambd, torch.zeros_like(x), x)  # NaN is no more than anything


def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    return torch.relu(x - lambd) - torch.relu(-x - lambd)


def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    return torch.where(x <= threshold, torch.full_like(x, value), x)


def clamp(x: Tensor, least: Any = None, most: Any = None) -> Any:
    """Numbers may be infinite, and one that is missing is; it is not the largest finite one."""
    if isinstance(least, Tensor) or isinstance(most, Tensor):
        x = x if least is None else torch.maximum(x, least)
        return x if most is None else torch.minimum(x, most)
    if least is not None and most is not None:
        return NotImplemented
    return torch.clamp(x, -math.inf if least is None else least, math.inf if most is None else most)


def clamp_max(x: Tensor, most: float) -> Any:
    return clamp(x, None, most)


def rrelu(
    x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, *_: Any
) -> Any:
    """Without training its slope is the middle one."""
    return NotImplemented if training else F.leaky_relu(x, (lower + upper) / 2)


def dropout(x: Tensor, _share: float, training: bool) -> Any:
    """Without training it is nothing."""
    return NotImplemented if training else x.clone()
