# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation folded into the convolution before it, for two of the ways a network comes.

Takes an fx graph of modules or an fx graph of ATen calls (an exported program); the
folding is w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta.
"""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
CONVOLUTIONS = (
    torch.ops.aten.conv1d.default,
    torch.ops.aten.conv2d.default,
    torch.ops.aten.conv3d.default,
)


@dataclass(frozen=True)
class Statistics:
    """What a BN layer does: (x - mean) / sqrt(variance + eps) * gamma + beta."""

    mean: Tensor
    variance: Tensor
    gamma: Tensor | None
    beta: Tensor | None
    eps: float


def folded(weight: Tensor, bias: Tensor | None, norm: Statistics) -> tuple[nn.Parameter, ...]:
    """The weight and bias that do the layer's work and the BN's; computed in double precision."""
    mean, variance = norm.mean.double(), norm.variance.double()
    gamma = torch.ones_like(mean) if norm.gamma is None else norm.gamma.double()
    beta = torch.zeros_like(mean) if norm.beta is None else norm.beta.double()
    scale = gamma / torch.sqrt(variance + norm.eps)
    scaled = weight.double() * scale.reshape(-1, *[1] * (weight.dim() - 1))
    shifted = ((0 if bias is None else bias.double()) - mean) * scale + beta
    return tuple(
        nn.Parameter(tensor.detach().to(weight.dtype), requires_grad=False)
        for tensor in (scaled, shifted)
    )


def fold_modules(graph: fx.GraphModule) -> None:
    """Fold, in place, each BN module that follows a convolution in the graph."""
    modules = dict(graph.named_modules(remove_duplicate=False))  # by every name
    uses = Counter(node.target for node in graph.graph.nodes if node.op == "call_module")
    for node in list(graph.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[str(node.target)], BatchNorm):
            continue
        source = node.args[0] if node.args else None
        # A convolution that is called twice, or whose output goes elsewhere too, must stay.
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        layer, norm = modules[str(source.target)], modules[str(node.target)]
        if uses[source.target] != 1 or not isinstance(layer, Conv):
            continue
        # A weight that is worked out anew at each call would undo it: the trace is folded then.
        if layer._forward_pre_hooks or hasattr(layer, "weight_fake_quant"):
            continue
        statistics = _statistics(norm)
        if statistics is None:
            continue
        layer.weight, layer.bias = folded(layer.weight, layer.bias, statistics)
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def fold_calls(graph: fx.GraphModule) -> None:
    """Fold, in place, each aten.batch_norm call that follows an aten convolution."""
    uses = Counter(node.target for node in graph.graph.nodes if node.op == "get_attr")
    for node in list(graph.graph.nodes):
        if node.target is not torch.ops.aten.batch_norm.default or node.args[5]:
            continue
        source, *parameters = node.args[:5]
        if source.target not in CONVOLUTIONS or len(source.users) != 1:
            continue
        weight, bias = source.args[1], source.args[2] if len(source.args) > 2 else None
        if uses[weight.target] != 1 or len(weight.users) != 1:
            continue
        gamma, beta, mean, variance = (_value(graph, parameter) for parameter in parameters)
        if weight.op != "get_attr" or mean is None or variance is None:
            continue
        statistics = Statistics(mean, variance, gamma, beta, eps=node.args[7])
        tensors = folded(_known(graph, weight), _value(graph, bias), statistics)
        with graph.graph.inserting_before(source):
            names = [_register(graph, tensor) for tensor in tensors]
            new = [graph.graph.get_attr(name) for name in names]
        source.args = (source.args[0], *new, *source.args[3:])
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def evaluation(module: nn.Module) -> nn.Module:
    """The module in eval mode; exported programs have no modes and are returned as they are."""
    try:
        return module.eval()
    except NotImplementedError:
        return module


def _statistics(norm: BatchNorm) -> Statistics | None:
    if norm.running_mean is None or norm.running_var is None:
        return None
    return Statistics(norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps)


def _value(graph: fx.GraphModule, node: object) -> Tensor | None:
    return _known(graph, node) if isinstance(node, fx.Node) and node.op == "get_attr" else None


def _known(graph: fx.GraphModule, node: fx.Node) -> Tensor:
    owner, _, name = str(node.target).rpartition(".")
    value: Tensor = getattr(graph.get_submodule(owner), name)
    return value


def _register(graph: fx.GraphModule, tensor: nn.Parameter) -> str:
    name = f"folded_{sum(1 for key, _ in graph.named_parameters() if key.startswith('folded_'))}"
    graph.register_parameter(name, tensor)
    return name
