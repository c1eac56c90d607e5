# SPDX-License-Identifier: Apache-2.0
"""From a module to what the compiler imports: BN folded into the convolutions, then traced.

Takes an `nn.Module` or a `Model`; gives a module without BN, and a traced `ScriptModule` of it.
"""

import contextlib
import copy
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from mnc.model import control_flow, folding, lacking, mutation, script, training_mode
from mnc.model.outputs import FlatOutputs
from mnc.model.torch_run import one_thread
from mnc.model.zoo import Model
from mnc.support.errors import UserError


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy in eval mode whose BN layers are folded into the convolution before.

    The network is read with torch.fx. One that fx cannot follow (control flow on values) comes back
    as a plain copy, which `trace` folds after tracing.
    """
    plain = _copy(module)
    if isinstance(plain, torch.jit.ScriptModule):
        return plain  # `script.Replay` folds
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


def _copy(module: nn.Module) -> nn.Module:
    """A copy of one's own in eval mode. Weights that are worked out of others (normalised, pruned) are
    settled: as results they cannot be copied, and BN is folded into weights.
    """
    for layer in module.modules():
        for name, value in list(vars(layer).items()):
            if isinstance(value, Tensor) and not value.is_leaf:
                setattr(layer, name, value.detach())
    copied = folding.evaluation(copy.deepcopy(module))
    for layer in list(copied.modules()):
        if parametrize.is_parametrized(layer):
            _settle(layer)
    return copied


def _settle(layer: nn.Module) -> None:
    """Weights that are worked out anew at each call become plain ones. torch's own `remove_parametrizations`
    changes the class, which the original has as well.
    """
    worked_out: Any = layer.parametrizations
    values = {name: getattr(layer, name).detach() for name in worked_out}
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, nn.Parameter(value, requires_grad=False))


def trace(model: Model) -> torch.jit.ScriptModule:
    """The model with BN folded, traced for its inputs' shapes; takes float32 tensors and gives a tensor or a
    tuple of them.

    TorchScript networks are replayed first, so that they too come out as plain traces. UserError when the
    network decides by its data or does not read it; RuntimeError or NotImplementedError when it cannot be
    traced.
    """
    with torch.no_grad(), one_thread(), _without_fast_paths():
        if isinstance(model.module, torch.jit.ScriptModule):
            _check_mode(model.module, model.name)
            traced = _traced(script.Replay(model.module), model)
        else:
            traced = _traced(fold_batch_norm(model.module), model)
        known: set[str] = set()
        while new := lacking.to_take_apart(traced) - known:  # some are said by others of them
            known |= new
            traced = _traced(script.Replay(traced), model)
    return traced


def _traced(module: nn.Module, model: Model) -> torch.jit.ScriptModule:
    examples = example_inputs(model)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            FlatOutputs(module), examples, check_trace=False
        )
    _check_mode(found, model.name)
    if lost := mutation.lost_writes(found):
        raise UserError(
            f"{model.name} writes into part of a tensor and then reads the whole: {', '.join(lost)}; "
            "make the whole anew with torch.cat or torch.where"
        )
    control_flow.check_sizes(found, name=model.name)
    places = module.branches() if isinstance(module, script.Replay) else []
    places += control_flow.warned_of(warned)
    control_flow.check(module, examples, places, name=model.name)
    _, *inputs = found.inlined_graph.inputs()
    if not any(one.uses() for one in inputs):
        raise UserError(f"{model.name} does not read its input: there is nothing to compile")
    return found


def _check_mode(traced: torch.jit.ScriptModule, name: str) -> None:
    if training := training_mode.still_trains(traced):
        raise UserError(
            f"{name} is in training mode ({', '.join(training)}): call .eval() on the module before it is "
            "traced or exported"
        )


def runs(model: Model) -> bool:
    """Whether PyTorch itself can run the model on its inputs."""
    try:
        with torch.no_grad():
            model.module(*example_inputs(model))
    except Exception:
        return False
    return True


@contextlib.contextmanager
def _without_fast_paths() -> Iterator[None]:
    """Attention as several operators, not as the one that torch fuses them into."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def example_inputs(model: Model) -> tuple[Tensor, ...]:
    """A float32 tensor for each of the model's inputs with values in -1..1, the same on every call."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(one.shape, generator=generator) * 2 - 1 for one in model.inputs)
