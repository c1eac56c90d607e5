# SPDX-License-Identifier: Apache-2.0
"""Small networks through the importer: which operators they become, and how far from PyTorch they are."""

from typing import Any

import numpy as np
import tvm
from torch import nn
from tvm import relay
from tvm.contrib import graph_executor

from mnc.compile.frontend.importer import import_model
from mnc.compile.toolchain import pass_context
from mnc.model.torch_run import torch_reference
from mnc.model.zoo import Model
from mnc.targets import load

SHAPE = (1, 3, 17, 19)


def operators(mod: Any) -> list[str]:
    """Names of the Relay operators, in order."""
    names: list[str] = []

    def visit(node: Any) -> None:
        if isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op):
            names.append(node.op.name)

    relay.analysis.post_order_visit(mod["main"], visit)
    return names


def named(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> Model:
    return Model("net", module.eval(), shape, None, (), "random", "0" * 64)


def errors(
    module: nn.Module, shape: tuple[int, ...] = SHAPE, target: str = "host", *, damage: bool = False
) -> list[float]:
    """As `errors_of`, of a module with one input."""
    return errors_of(named(module, shape), target, damage=damage)


def errors_of(model: Model, target: str = "host", *, damage: bool = False) -> list[float]:
    """Of each output: the largest difference from PyTorch over the largest value; infinite where NaN or
    infinities differ. With `damage`, three pixels of the image are such.
    """
    program = import_model(model, load(target))
    with pass_context.pass_context():
        library = relay.build(program.mod, target="llvm")
    graph = graph_executor.GraphModule(library["default"](tvm.cpu()))
    random = np.random.default_rng(2)
    given = {
        one.name: random.standard_normal(one.shape).astype(np.float32) for one in program.inputs
    }
    if damage:
        given["input"][0, 0, (1, 8, 15), (5, 17, 2)] = np.nan, np.inf, -np.inf
    graph.run(**given)
    found = [graph.get_output(i).numpy() for i in range(graph.get_num_outputs())]
    wanted = torch_reference(model.module)(*given.values())
    assert [one.shape for one in found] == [one.shape for one in wanted]
    return [_error(*pair) for pair in zip(found, wanted, strict=True)]


def _error(found: Any, wanted: Any) -> float:
    finite = np.isfinite(wanted)
    if not np.array_equal(found[~finite], wanted[~finite], equal_nan=True):
        return np.inf
    found, wanted = found[finite], wanted[finite]
    worst = float(np.abs(found - wanted).max(initial=0) / np.abs(wanted).max(initial=1e-9))
    return worst if np.isfinite(worst) else np.inf


def lively_norm(channels: int, kind: type[nn.Module] = nn.BatchNorm2d) -> nn.Module:
    """No statistic of it is trivial."""
    norm: Any = kind(channels)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    return norm  # type: ignore[no-any-return]
