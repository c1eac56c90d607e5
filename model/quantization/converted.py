# SPDX-License-Identifier: Apache-2.0
"""Networks that `quantize_fx`, or eager mode's `convert`, has converted: operators on quantized tensors.

`RULES` reads those that are not ATen's in a trace. ATen's own give quantized tensors too, whose grids
`of_result` reads off them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from mnc.model.quantization import translation
from mnc.model.quantization.translation import Call, Graph, Rule

aten = torch.ops.aten
# What each computes of its arguments, but scale and zero point: an operator, and how many it takes.
FLOATS: dict[str, tuple[Any, int]] = {
    "add": (aten.add.Tensor, 2),
    "mul": (aten.mul.Tensor, 2),
    "add_scalar": (aten.add.Scalar, 2),
    "mul_scalar": (aten.mul.Scalar, 2),
    "cat": (aten.cat.default, 2),
    "hardswish": (aten.hardswish.default, 1),
    "sigmoid": (aten.sigmoid.default, 1),
    "relu6": (aten.relu6.default, 1),
    "leaky_relu": (aten.leaky_relu.default, 2),
}


def of_result(graph: Graph, made: fx.Node, result: Any) -> fx.Node:
    """`made`, which computes a `result` in float32, in 8 bits where that is a quantized tensor."""
    if not isinstance(result, Tensor) or not result.is_quantized:
        return made
    scale, zero_point = result.q_scale(), result.q_zero_point()
    return translation.stored(
        graph, made, scale, zero_point, translation.TYPES[result.dtype], result
    )


def _quantize(graph: Graph, call: Call) -> fx.Node | None:
    """quantize_per_tensor(x, scale, zero_point, dtype)."""
    return of_result(graph, call.argument(0), call.result) if call.variable else None


def _dequantize(_: Graph, call: Call) -> fx.Node | None:
    """Markers give floats."""
    return call.argument(0) if call.variable else None


def _convolution(graph: Graph, call: Call) -> fx.Node | None:
    """conv2d(x, packed weights, scale, zero_point)."""
    packed = call.values[1]
    weight, bias = _unpacked(graph, packed)
    options = (packed.stride(), packed.padding(), packed.dilation(), packed.groups())
    return _layer(graph, call, aten.conv2d.default, (weight, bias, *options))


def _dense(graph: Graph, call: Call) -> fx.Node | None:
    """linear(x, packed weights, scale, zero_point)."""
    return _layer(graph, call, aten.linear.default, _unpacked(graph, call.values[1]))


def _layer(graph: Graph, call: Call, operator: Any, options: tuple[Any, ...]) -> fx.Node:
    made = graph.call(operator, call.argument(0), *options, like=call.result)
    return of_result(graph, _activated(graph, call, made), call.result)


def _activated(graph: Graph, call: Call, made: fx.Node) -> fx.Node:
    if call.kind.endswith("_relu") and call.kind != "quantized::leaky_relu":
        return graph.call(aten.relu.default, made, like=call.result)
    return made


def _unpacked(graph: Graph, packed: Any) -> tuple[fx.Node | None, fx.Node | None]:
    weight, bias = packed.unpack()
    channels = weight.qscheme() in {torch.per_channel_affine, torch.per_channel_symmetric}
    scale = weight.q_per_channel_scales() if channels else torch.tensor(weight.q_scale())
    real = weight.dequantize()
    marked = translation.weights(graph, real, scale)
    return marked or graph.constant(real), None if bias is None else graph.constant(bias.detach())


def _as_float(graph: Graph, call: Call) -> fx.Node | None:
    operator, taken = FLOATS[call.kind.partition("::")[2].removesuffix("_relu") or ""]
    return _computed(graph, call, operator, taken)


def _leaky(graph: Graph, call: Call) -> fx.Node | None:
    return _computed(graph, call, *FLOATS["leaky_relu"])


def _elu(graph: Graph, call: Call) -> fx.Node | None:
    """elu(x, scale, zero_point, alpha, scale, input_scale)."""
    made = graph.call(aten.elu.default, call.argument(0), *call.values[3:], like=call.result)
    return of_result(graph, made, call.result)


def _computed(graph: Graph, call: Call, operator: Any, taken: int) -> fx.Node:
    made = graph.call(operator, *(call.argument(i) for i in range(taken)), like=call.result)
    return of_result(graph, _activated(graph, call, made), call.result)


def _dynamic(_: Graph, call: Call) -> fx.Node | None:
    raise translation.is_dynamic(call.kind)


def _with_activation(rules: dict[str, Callable[..., Any]]) -> dict[str, Rule]:
    return {
        f"quantized::{name}{after}": rule for name, rule in rules.items() for after in ("", "_relu")
    }


RULES: dict[str, Rule] = {
    "aten::quantize_per_tensor": _quantize,
    "aten::quantize_per_tensor_dynamic": _dynamic,
    "aten::dequantize": _dequantize,
    **_with_activation(dict.fromkeys(FLOATS, _as_float)),
    **_with_activation({"conv2d": _convolution, "linear": _dense}),
    "quantized::leaky_relu": _leaky,
    "quantized::elu": _elu,
    **dict.fromkeys(("quantized::linear_dynamic", "quantized::linear_relu_dynamic"), _dynamic),
    "quantized::conv2d_dynamic": _dynamic,
}
