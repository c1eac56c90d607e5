# SPDX-License-Identifier: Apache-2.0
"""Strassen's product is where it is safe and the log found it faster, and gives what PyTorch gives."""

import numpy as np
import pytest
import torch
import tvm
from torch import nn
from tvm import relay
from tvm.contrib import graph_executor

from mnc.compile.codegen import network
from mnc.compile.frontend import importer, strassen, tasks
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.trial import Trial, trial_of
from mnc.compile.toolchain import pass_context
from mnc.model.zoo import Model
from mnc.targets import load

INPUTS, OUTPUTS = 128, 256


class Block(nn.Module):
    """A depthwise and a 1x1 convolution, each with its activation, then another depthwise one."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU6) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(INPUTS, INPUTS, 3, padding=1, groups=INPUTS)
        self.wide = nn.Conv2d(INPUTS, OUTPUTS, 1)
        self.last = nn.Conv2d(OUTPUTS, OUTPUTS, 3, padding=1, groups=OUTPUTS)
        self.activation = activation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 128, 7, 7) to (1, 256, 7, 7)."""
        return self.last(self.activation(self.wide(self.activation(self.first(x)))))  # type: ignore[no-any-return]


def named(module: nn.Module) -> Model:
    return Model("net", module.eval(), (1, INPUTS, 7, 7), None, (), "random", "0" * 64)


def products(module: nn.Module) -> int:
    return len(strassen.products(importer.import_model(named(module), load("rpi5")).mod))


def test_a_convolution_of_a_bounded_map_gives_what_pytorch_gives() -> None:
    module = Block()
    mod = strassen.applied(importer.import_model(named(module), load("rpi5")).mod)
    assert strassen.OPERATOR in str(mod)
    with pass_context.pass_context():
        library = relay.build(mod, target="llvm")
    graph = graph_executor.GraphModule(library["default"](tvm.cpu()))
    image = np.random.default_rng(0).standard_normal((1, INPUTS, 7, 7)).astype(np.float32)
    graph.run(input=image)
    with torch.no_grad():
        wanted = module.double()(torch.from_numpy(image).double()).numpy()
    error = np.abs(graph.get_output(0).numpy() - wanted).max() / np.abs(wanted).max()
    assert 0 < error < 3e-6


def test_maps_without_bounds_are_left_alone() -> None:
    """One infinity would be NaN in two pixels."""
    assert products(Block()) == 1
    assert products(Block(nn.ReLU)) == 0


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_of_channels_that_differ_too_much_are_left_alone(axis: int) -> None:
    module = Block()
    module.wide.weight.data.select(axis, 3).mul_(1e4)
    assert products(module) == 0


def test_a_channel_without_weights_that_its_bias_makes_large_is_none() -> None:
    module = Block()
    module.wide.weight.data[3] = 0
    dict(module.wide.named_parameters())["bias"].data[3] = 1
    assert products(module) == 1


def tried(task: TunableTask, cost: float) -> Trial:
    """A verified trial of some config of the task."""
    space = task.task.config_space
    config = space.get(next(i for i in range(space.range_length) if space.is_index_valid(i)))
    return trial_of(task.task, config, costs=(cost,), measurer="test", verified=True, threads=1)


@pytest.mark.parametrize(("cost", "wanted"), [(0.9e-3, 1), (1.1e-3, 0), (None, 0)])
def test_the_log_decides(cost: float | None, wanted: int) -> None:
    prepared = network.prepare(named(Block()), load("rpi5"))
    apart = [task for task in prepared.tasks if task.kind in ("pointwise", "depthwise")]
    (by_strassen,) = (task for task in apart if task.shape.endswith("by Strassen"))
    trials = [tried(task, 1e-3) for task in apart if task is not by_strassen]
    trials += [tried(by_strassen, cost)] if cost else []
    chosen = network.select(prepared, trials)
    assert sum(task.key == by_strassen.key for task in chosen.tasks) == wanted
    assert set(chosen.used) == {task.key for task in chosen.tasks}


@pytest.mark.parametrize(("target", "wanted"), [("rpi5", 1), ("rpi3b", 0), ("armv7", 0)])
def test_only_cores_out_of_order_of_aarch64_have_such_tasks(target: str, wanted: int) -> None:
    program = importer.import_model(named(Block()), load("rpi5"))
    found = tasks.extract_all(program, load(target))
    assert sum("Strassen" in task.shape for task in found) == wanted
