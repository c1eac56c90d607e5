# SPDX-License-Identifier: Apache-2.0
"""From a module to what the compiler imports: BN folded into the convolutions, then traced.

Takes an `nn.Module` or a `Model`; gives a module without BN, and a traced `ScriptModule` of it.
"""

import copy
import warnings

import torch
from torch import Tensor, fx, nn

from mnc.model import folding, script
from mnc.model.zoo import Model


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy in eval mode whose BN layers are folded into the convolution (or dense layer) before.

    The network is read with torch.fx. One that fx cannot follow (control flow on values) comes back
    as a plain copy, which `trace` folds after tracing.
    """
    plain = folding.evaluation(copy.deepcopy(module))
    if isinstance(plain, torch.jit.ScriptModule):
        return folding.fold_script(plain)
    if isinstance(plain, fx.GraphModule):
        folding.fold_modules(plain)
        folding.fold_calls(plain)
        return plain
    try:
        graph = fx.symbolic_trace(plain)
    except Exception:  # whatever a network's own code raises when it meets fx's proxies
        return plain
    folding.fold_modules(graph)
    return graph


def trace(model: Model) -> torch.jit.ScriptModule:
    """The model with BN folded, traced for its input shape; takes one float32 tensor (N, C, H, W).

    TorchScript networks are replayed first, so that they too come out as plain traces.
    RuntimeError or NotImplementedError when the network cannot be traced.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python values baked in; parity is checked later
        if isinstance(model.module, torch.jit.ScriptModule):
            ready: nn.Module = script.Replay(model.module)
        else:
            ready = fold_batch_norm(model.module)
        traced: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            ready, example_input(model), check_trace=False
        )
    has_norm = any("batch_norm" in node.kind() for node in traced.inlined_graph.nodes())
    return folding.fold_script(traced) if has_norm else traced


def example_input(model: Model) -> Tensor:
    """A float32 tensor of the model's input shape with values in -1..1, the same on every call."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(model.input_shape, generator=generator) * 2 - 1
