# SPDX-License-Identifier: Apache-2.0
"""Networks of quantization-aware training: floats that torch's fake_quantize modules and operators round.

Takes a module; gives it with its ranges as training left them (`settled`). `RULES` reads its operators in a
trace.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.ao.nn.quantized import Quantize
from torch.ao.quantization import FakeQuantizeBase

from mnc.model.quantization import translation
from mnc.model.quantization.translation import Call, Graph, Rule
from mnc.support.errors import UserError

REPLACED = (FakeQuantizeBase, Quantize)


class Settled(nn.Module):
    """A fake_quantize module that no longer observes: its scales are what they are."""

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.axis = int(of.ch_axis) if of.is_per_channel else None
        scale, zero_point = of.scale.detach(), of.zero_point.detach().to(torch.int32)
        self.scale = float(scale) if self.axis is None else scale
        self.zero_point = int(zero_point) if self.axis is None else zero_point
        ranges = getattr(of, "activation_post_process", of)
        self.least, self.most = int(ranges.quant_min), int(ranges.quant_max)
        self.round: Any = torch.fake_quantize_per_tensor_affine
        if self.axis is not None:
            self.round = torch.fake_quantize_per_channel_affine
        self.rounds = bool(of.fake_quant_enabled[0])
        least = torch.as_tensor(getattr(ranges, "min_val", 0.0))
        if self.rounds and (not least.numel() or bool(torch.isinf(least).any())):
            raise UserError(
                "a fake_quantize module of it has not seen a value yet: train it, or run it on some images, "
                "before it is compiled"
            )

    def forward(self, x: Tensor) -> Tensor:
        """`x` rounded."""
        if not self.rounds:
            return x
        where = () if self.axis is None else (self.axis,)
        rounded: Tensor = self.round(x, self.scale, self.zero_point, *where, self.least, self.most)
        return rounded


class Quantized(nn.Module):
    """torch's Quantize with plain numbers, which no one takes for a decision by data."""

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.scale, self.zero_point, self.dtype = float(of.scale), int(of.zero_point), of.dtype

    def forward(self, x: Tensor) -> Tensor:
        """A quantized tensor."""
        return torch.quantize_per_tensor(x, self.scale, self.zero_point, self.dtype)


def settled(module: nn.Module) -> nn.Module:
    """`module`, changed: what would still observe its inputs when it runs does not. UserError where there is
    nothing to go by yet.
    """
    made: dict[nn.Module, nn.Module] = {}  # one may stand in several places
    plain = not isinstance(module, torch.jit.ScriptModule)
    for owner in list(module.modules()) if plain else ():
        for name, child in owner._modules.items():
            if isinstance(child, REPLACED):
                kind = Settled if isinstance(child, FakeQuantizeBase) else Quantized
                made[child] = made.get(child) or kind(child)
                owner._modules[name] = made[child]
    for name, buffer in module.named_buffers():  # of a file
        if name.rpartition(".")[2] == "observer_enabled":
            buffer.zero_()
    return module


def _per_tensor(graph: Graph, call: Call) -> fx.Node | None:
    """fake_quantize_per_tensor_affine(x, scale, zero_point, least, most)."""
    _, scale, zero_point, least, most = call.values[:5]
    return _rounded(graph, call, scale, zero_point, (least, most), axis=None)


def _per_channel(graph: Graph, call: Call) -> fx.Node | None:
    """fake_quantize_per_channel_affine(x, scale, zero_point, axis, least, most)."""
    _, scale, zero_point, axis, least, most = call.values[:6]
    return _rounded(graph, call, scale, zero_point, (least, most), axis=axis)


def _observing(graph: Graph, call: Call) -> fx.Node | None:
    """fused_moving_avg_obs_fake_quant: it no longer observes."""
    _, _, rounds, _, _, scale, zero_point, _, least, most, axis, per_channel, *_ = call.values
    if not bool(torch.as_tensor(rounds).any()):
        return call.argument(0) if call.variable else None
    return _rounded(
        graph, call, scale, zero_point, (least, most), axis=axis if per_channel else None
    )


def _rounded(
    graph: Graph, call: Call, scale: Any, zero: Any, bounds: tuple[int, int], *, axis: int | None
) -> fx.Node | None:
    if not call.variable:
        return translation.weights(graph, call.result, torch.as_tensor(scale), axis=axis or 0)
    if axis is not None:
        raise UserError(
            f"it rounds a map of {tuple(call.result.shape)} by a scale for each channel, and a map has one; "
            "quantize its activations per tensor"
        )
    x = call.argument(0)
    return translation.stored(graph, x, float(scale), int(zero), bounds, call.result)


RULES: dict[str, Rule] = {
    "aten::fake_quantize_per_tensor_affine": _per_tensor,
    "aten::fake_quantize_per_tensor_affine_cachemask": _per_tensor,
    "aten::_fake_quantize_per_tensor_affine_cachemask_tensor_qparams": _per_tensor,
    "aten::fake_quantize_per_channel_affine": _per_channel,
    "aten::fake_quantize_per_channel_affine_cachemask": _per_channel,
    "aten::fused_moving_avg_obs_fake_quant": _observing,
    "aten::_fused_moving_avg_obs_fq_helper": _observing,
    "aten::_fused_moving_avg_obs_fq_helper_functional": _observing,
}
