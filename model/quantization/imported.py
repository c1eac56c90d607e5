# SPDX-License-Identifier: Apache-2.0
"""Networks that carry quantization keep their own scales: they become networks with our two markers.

Takes a `Model` whose network was trained so (fake_quantize), converted by `quantize_fx`, or exported by PT2E
or torchao; gives it in 8-bit integers. docs/int8.md says what of each is kept to the bit.
"""

import copy
import dataclasses
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mnc.model import prepare
from mnc.model.quantization import affine, fake_quantized, graph, kinds
from mnc.model.zoo import Model
from mnc.support.errors import UserError

NAMESPACES = {"quantized", "quantized_decomposed", "torchao"}


def carries_quantization(model: Model) -> bool:
    """Whether the network, in float32 as far as `model` says, rounds its numbers itself."""
    if model.precision == "int8" or not isinstance(model.network, nn.Module):
        return False
    seen = _Watch()  # type: ignore[no-untyped-call]
    with torch.no_grad(), seen:
        _settled(model).module(*prepare.example_inputs(model))
    return bool(seen.quantizes)


def with_its_scales(model: Model) -> Model:
    """The network in 8-bit integers. UserError for what cannot be kept: maps with a scale for each channel or
    more than 8 bits, weights that are not symmetric, scales that are not known before it runs.
    """
    try:
        with torch.no_grad():
            module = graph.graph_of(_settled(model))
    except UserError as error:
        raise UserError(
            f"{model.name} is quantized in a way that cannot be kept: {error}"
        ) from error
    affine.fold(module)
    return dataclasses.replace(model, network=module, precision="int8")


def remarks(module: nn.Module) -> tuple[str, ...]:
    """What a person should know of a network that `with_its_scales` has made, a sentence each."""
    nodes = module.graph.nodes if isinstance(module, fx.GraphModule) else ()
    weights = [node for node in nodes if kinds.kind(node) == "quantized_weight"]
    shared = [node for node in weights if _is_alike(graph.constant(module, node.args[1]))]
    rounded = sum(node.meta.get("rounded", 0) for node in weights)
    found = []
    if shared:
        found.append(
            f"{len(shared)} of {len(weights)} layers have one scale for all their weights, which costs "
            "accuracy; one for each output channel costs nothing"
        )
    if rounded:
        found.append(
            f"the weights of {rounded} channels have a zero point and are rounded anew to 8 bits around zero"
        )
    return tuple(found)


def _is_alike(scale: Tensor) -> bool:
    return scale.numel() > 1 and bool((scale == scale[0]).all())


def _settled(model: Model) -> Model:
    """A file's are settled when they are loaded."""
    module = model.module
    if not any(isinstance(one, fake_quantized.REPLACED) for one in module.modules()):
        return model
    return dataclasses.replace(model, network=fake_quantized.settled(copy.deepcopy(module)))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees whether an operator of quantization runs."""

    quantizes = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run it."""
        name = func._schema.name
        rounds = "quantize" in name or "fq_helper" in name
        self.quantizes |= rounds or name.partition("::")[0] in NAMESPACES
        return func(*args, **(kwargs or {}))
