# SPDX-License-Identifier: Apache-2.0
"""The operators that mark, within an ordinary float network, what is stored in 8 bits, or not in 16.

`mnc::fake_quantize` stands behind each activation that is, `mnc::quantized_weight` at the weights of a
convolution or a dense layer. `mnc::in_float32` stands behind what half precision does not hold,
`mnc::in_half` at a bias that is another one there. All survive torch.jit.trace, torch.jit.freeze and
torch.export; importing this module registers them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LEAST, MOST = 0, 255  # of an activation as it is stored
LARGEST_WEIGHT = 127  # either way: -128 is not used
LARGEST_PAIR = (
    128  # either way, of two weights of a pointwise or dense layer: times 255 it fits 16 bits
)
HELD = "mnc::held"
LARGEST_BIAS = 1 << 30  # either way, in steps of a layer's sums


def fake_quantize(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """float32 of any shape on the grid of 8 bits, float32: (q - zero_point) * scale with q in 0..255.

    `scale` is taken as the nearest float32.
    """
    marked: Tensor = torch.ops.mnc.fake_quantize(x, scale, zero_point)
    return marked


def quantized_weight(w: Tensor, scale: Tensor) -> Tensor:
    """int8 weights (O, ...) times their float32 scale (O,), an output channel each: float32 (O, ...)."""
    marked: Tensor = torch.ops.mnc.quantized_weight(w, scale)
    return marked


def quantize(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """The numbers 0..255, in float64, as which float32 `x` is stored."""
    by = 1 / torch.tensor(scale, dtype=torch.float32)
    # In float64 the sum of a float32 and a zero point is exact wherever a tie could be.
    return (x * by).double().add_(zero_point).round_().clamp_(LEAST, MOST)


def _fake_quantize(x: Tensor, scale: float, zero_point: int) -> Tensor:
    steps = quantize(x, scale, zero_point).sub_(zero_point).float()
    return steps.mul_(torch.tensor(scale, dtype=torch.float32))


def _quantized_weight(w: Tensor, scale: Tensor) -> Tensor:
    return w.float() * scale.reshape(-1, *[1] * (w.dim() - 1))


def _shape_of_fake_quantize(x: Tensor, scale: float, zero_point: int) -> Tensor:
    return torch.empty_like(x)


def _shape_of_quantized_weight(w: Tensor, scale: Tensor) -> Tensor:
    return torch.empty_like(w, dtype=torch.float32)


_LIBRARY: Any = torch.library.Library("mnc", "DEF")  # type: ignore[no-untyped-call]


def _register(schema: str, run: Callable[..., Tensor], shape: Callable[..., Tensor]) -> None:
    name = schema.partition("(")[0]
    # To TorchScript an operator that is not "conservative" is one to work out while freezing: the weights
    # would come out as float constants.
    _LIBRARY.define(schema, alias_analysis="CONSERVATIVE")
    _LIBRARY.impl(name, run, "CPU")
    torch.library.register_fake(f"mnc::{name}", shape, lib=_LIBRARY)


_register(
    "fake_quantize(Tensor x, float scale, int zero_point) -> Tensor",
    _fake_quantize,
    _shape_of_fake_quantize,
)
_register(
    "quantized_weight(Tensor w, Tensor scale) -> Tensor",
    _quantized_weight,
    _shape_of_quantized_weight,
)
# What freezing must not work out: the scales of constant weights would be lost.
_register("in_float32(Tensor x) -> Tensor", lambda x: x.clone(), torch.empty_like)
_register(
    "in_half(Tensor bias, Tensor there) -> Tensor",
    lambda bias, there: bias.clone(),
    lambda bias, there: torch.empty_like(bias),
)
_register("held(Tensor x) -> Tensor", lambda x: x.clone(), torch.empty_like)
