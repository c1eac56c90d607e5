# SPDX-License-Identifier: Apache-2.0
"""From a module to what the compiler imports: BN folded into the convolutions, then traced.

Takes an `nn.Module` or a `Model`; gives a module without BN, and a traced `ScriptModule` of it.
"""

import copy
import warnings

import torch
from torch import Tensor, fx, nn

from model.zoo import Model

Conv = nn.Conv1d | nn.Conv2d | nn.Conv3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy in eval mode whose BN layers are folded into the convolution (or dense layer) before.

    The network is read with torch.fx; one that fx cannot follow (control flow on values, TorchScript,
    exported programs) comes back as a plain copy: `trace` folds those after tracing.
    """
    plain = evaluation(copy.deepcopy(module))
    if isinstance(plain, torch.jit.ScriptModule):
        return plain
    try:
        graph = fx.symbolic_trace(plain)
    except Exception:  # whatever a network's own code raises when it meets fx's proxies
        return plain
    _fold(graph)
    return graph


def trace(model: Model) -> torch.jit.ScriptModule:
    """The model with BN folded, traced for its input shape; takes one float32 (N, C, H, W) tensor."""
    example = example_input(model)
    folded = fold_batch_norm(model.module)
    if isinstance(folded, torch.jit.ScriptModule):
        return torch.jit.freeze(folded)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(folded, example, check_trace=False)
    if any("batch_norm" in node.kind() for node in traced.inlined_graph.nodes()):
        # Freezing folds BN with weights as constants; used only where fx could not.
        traced = torch.jit.freeze(traced.eval() if traced.training else traced)
    script: torch.jit.ScriptModule = traced
    return script


def example_input(model: Model) -> Tensor:
    """A float32 tensor of the model's input shape, the same on every call."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(model.input_shape, generator=generator) * 2 - 1


def evaluation(module: nn.Module) -> nn.Module:
    """The module in eval mode; exported programs have no modes and are returned as they are."""
    try:
        return module.eval()
    except NotImplementedError:
        return module


def _fold(graph: fx.GraphModule) -> None:
    modules = dict(graph.named_modules())
    uses: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module":
            uses[node.target] = uses.get(node.target, 0) + 1
    for node in list(graph.graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], BatchNorm):
            continue
        source = node.args[0] if node.args else None
        # A convolution whose output goes elsewhere too, or that is called twice, must stay as it is.
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        if uses[str(source.target)] != 1 or uses[node.target] != 1:
            continue
        before, norm = modules[str(source.target)], modules[node.target]
        if not isinstance(before, Conv | nn.Linear) or norm.running_mean is None:
            continue
        _fold_into(before, norm)
        node.replace_all_uses_with(source)
        graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _fold_into(layer: Conv | nn.Linear, norm: BatchNorm) -> None:
    """Scale the weights and shift the bias, in double precision: y = (x - mean) * scale + beta."""
    assert norm.running_mean is not None and norm.running_var is not None
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    gamma = torch.ones_like(mean) if norm.weight is None else norm.weight.double()
    beta = torch.zeros_like(mean) if norm.bias is None else norm.bias.double()
    scale = gamma / torch.sqrt(variance + norm.eps)
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.double()
    weight = layer.weight.double() * scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
    kind = layer.weight.dtype
    layer.weight = nn.Parameter(weight.detach().to(kind), requires_grad=False)
    shifted = (bias - mean) * scale + beta
    layer.bias = nn.Parameter(shifted.detach().to(kind), requires_grad=False)
