# SPDX-License-Identifier: Apache-2.0
"""Networks that PT2E or torchao has quantized: pairs of quantize and dequantize around float operators.

`RULES` reads its operators in a trace; `register` lets exported programs with them be loaded.
"""

import importlib
from typing import Any

import torch
from torch import Tensor, fx

from mnc.model.quantization import translation
from mnc.model.quantization.translation import Call, Graph, Rule
from mnc.support.errors import UserError

INTEGERS = {torch.int8, torch.uint8}


def register() -> None:
    """The operators, which torch knows when this module of its own is imported."""
    importlib.import_module("torch.ao.quantization.fx._decomposed")


def _quantize(graph: Graph, call: Call) -> fx.Node | None:
    """quantize_per_tensor(x, scale, zero_point, least, most, dtype)."""
    _, scale, zero_point, least, most, *_ = call.values
    if not call.variable:
        return None  # weights that are still floats; what comes of them is told by their dequantize
    x = call.argument(0)
    bounds = (int(least), int(most))
    return translation.stored(graph, x, float(scale), int(zero_point), bounds, call.result)


def _dequantize(graph: Graph, call: Call) -> fx.Node | None:
    """dequantize_per_tensor(q, scale, zero_point, least, most, dtype)."""
    if call.variable:
        argument: fx.Node = call.argument(0)
        return argument  # markers give floats
    return _weights(graph, call, call.values[1], axis=0)


def _dequantize_channels(graph: Graph, call: Call) -> fx.Node | None:
    """dequantize_per_channel(q, scales, zero_points, axis, least, most, dtype)."""
    if call.variable:
        raise _by_channel(call.values[0])
    return _weights(graph, call, call.values[1], axis=call.values[3])


def _quantize_channels(_: Graph, call: Call) -> fx.Node | None:
    if call.variable:
        raise _by_channel(call.values[0])
    return None


def _weights(graph: Graph, call: Call, scale: Any, *, axis: int) -> fx.Node | None:
    if call.values[0].dtype not in INTEGERS:
        return None  # a bias in 32 bits
    real: Tensor = call.result
    return translation.weights(graph, real, torch.as_tensor(scale), axis=axis)


def _by_channel(x: Tensor) -> UserError:
    return UserError(
        f"it stores a map of {tuple(x.shape)} by a scale for each channel, and a map has one; quantize its "
        "activations per tensor"
    )


def _dynamic(_: Graph, call: Call) -> fx.Node | None:
    raise translation.is_dynamic(call.kind)


RULES: dict[str, Rule] = {
    "quantized_decomposed::quantize_per_tensor": _quantize,
    "quantized_decomposed::dequantize_per_tensor": _dequantize,
    "quantized_decomposed::quantize_per_channel": _quantize_channels,
    "quantized_decomposed::dequantize_per_channel": _dequantize_channels,
    "quantized_decomposed::choose_qparams": _dynamic,
    "quantized_decomposed::choose_qparams_symmetric": _dynamic,
}
