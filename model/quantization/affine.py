# SPDX-License-Identifier: Apache-2.0
"""What stands between a layer of marked weights and its rounding, channel by channel, becomes part of it.

Quantization-aware training leaves a convolution whose outputs are divided by factors, then BN: f * x + b.
Takes a graph; changes it: f goes into the weights' scales, b into the bias.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from mnc.model.quantization import graph, kinds

ROUNDING = (
    1e-5  # a factor this near to 1 is one: dividing and multiplying by the same was rounded twice
)


@dataclass(frozen=True)
class Affine:
    """`factor` * x + `shift`, a number each for each channel, in float64."""

    factor: Tensor
    shift: Tensor

    def times(self, by: Tensor) -> "Affine":
        """Multiplied."""
        return Affine(self.factor * by, self.shift * by)

    def plus(self, other: Tensor) -> "Affine":
        """With something added."""
        return Affine(self.factor, self.shift + other)


def fold(module: fx.GraphModule) -> None:
    """Into every layer of marked weights what follows it."""
    for node in list(module.graph.nodes):
        if _is_marked_layer(node):
            _fold_into(module, node)
    module.graph.eliminate_dead_code(lambda node: node.op in {"placeholder", "output"})
    module.recompile()


def _is_marked_layer(node: fx.Node) -> bool:
    if kinds.kind(node) not in kinds.CONVOLUTIONS | {"linear"}:
        return False
    weight, bias = (*node.args[1:], None)[:2]
    transposed = kinds.kind(node) in {"_convolution", "convolution"} and bool(node.args[6])
    constant = bias is None or (isinstance(bias, fx.Node) and bias.op == "get_attr")
    marked = isinstance(weight, fx.Node) and kinds.kind(weight) == "quantized_weight"
    return marked and constant and not transposed


def _fold_into(module: fx.GraphModule, layer: fx.Node) -> None:
    values, scale = (graph.constant(module, one) for one in layer.args[1].args)  # type: ignore[union-attr]
    channels, last = len(values), layer
    whole = Affine(torch.ones(channels).double(), torch.zeros(channels).double())
    while len(last.users) == 1:
        (after,) = last.users
        found = _followed(module, whole, last, after, channels)
        if found is None:
            break
        whole, last = found, after
    factor = torch.where((whole.factor - 1).abs() < ROUNDING, 1.0, whole.factor)
    if last is layer or bool((factor < 0).any()):
        return
    bias = layer.args[2] if len(layer.args) > 2 else None
    before = 0 if bias is None else graph.constant(module, bias).double()
    _rewrite(module, layer, scale.double() * factor, factor * before + whole.shift)
    last.replace_all_uses_with(layer)


def _followed(
    module: fx.GraphModule, whole: Affine, source: fx.Node, node: fx.Node, channels: int
) -> Affine | None:
    """`whole`, then `node`; None where that is no such operator."""
    name = kinds.kind(node)
    if name == "batch_norm" and node.args[0] is source and not node.args[5]:
        return _normalised(module, whole, node)
    if name not in {"add", "sub", "mul", "div"} or node.kwargs.get("alpha", 1) != 1:
        return None
    left, right = node.args[:2]
    other = _vector(module, right if left is source else left, node, channels)
    if other is None or (name in {"sub", "div"} and left is not source):
        return None
    if name in {"add", "sub"}:
        return whole.plus(other if name == "add" else -other)
    return whole.times(other if name == "mul" else 1 / other)


def _normalised(module: fx.GraphModule, whole: Affine, node: fx.Node) -> Affine | None:
    gamma, beta, mean, variance = (
        graph.constant(module, one).double() if isinstance(one, fx.Node) else None
        for one in node.args[1:5]
    )
    eps: Any = node.args[7]
    if mean is None or variance is None:
        return None
    centred = whole.plus(-mean).times(1 / torch.sqrt(variance + eps))
    scaled = centred if gamma is None else centred.times(gamma)
    return scaled if beta is None else scaled.plus(beta)


def _vector(module: fx.GraphModule, other: Any, node: fx.Node, channels: int) -> Tensor | None:
    """A constant as one number a channel; None for what is none."""
    if isinstance(other, int | float):
        return torch.full((channels,), float(other), dtype=torch.float64)
    if not isinstance(other, fx.Node) or other.op != "get_attr":
        return None
    tensor = graph.constant(module, other).double()
    rank = len(node.meta["shape"])
    axis = 1 if rank == 4 else rank - 1
    shape = [1] * (rank - tensor.dim()) + list(tensor.shape)
    if tensor.numel() == 1:
        return tensor.reshape(1).expand(channels)
    is_one_each = tensor.numel() == channels and len(shape) == rank and shape[axis] == channels
    return tensor.reshape(-1) if is_one_each else None


def _rewrite(module: fx.GraphModule, layer: fx.Node, scale: Tensor, bias: Tensor) -> None:
    """A channel whose factor is zero has weights of zero and any scale."""
    silent = scale.float() <= 0
    values = graph.constant(module, layer.args[1].args[0]).clone()  # type: ignore[union-attr]
    values[silent] = 0
    tensors = (values, torch.where(silent, 1.0, scale.float()), bias.float())
    with module.graph.inserting_before(layer):
        nodes = []
        for tensor in tensors:
            name = f"folded_{len(list(module.buffers()))}"
            module.register_buffer(name, tensor)
            nodes.append(module.graph.get_attr(name))
        weight = module.graph.call_function(
            torch.ops.mnc.quantized_weight.default, tuple(nodes[:2])
        )
    weight.meta = dict(layer.args[1].meta)  # type: ignore[union-attr]
    layer.args = (layer.args[0], weight, nodes[2], *layer.args[3:])
