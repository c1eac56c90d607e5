# SPDX-License-Identifier: Apache-2.0
"""The graph that a build keeps says which task each kernel does, and what its arguments are to it."""

from collections import Counter
from pathlib import Path

import torch

from mnc.compile.codegen import kernel_object, network
from mnc.compile.codegen.network import Built
from mnc.compile.templates.workload import TENSORS, convolutions
from mnc.compile.toolchain import graph
from mnc.compile.toolchain.graph import Graph
from mnc.model import weights
from mnc.model.zoo import Model
from mnc.targets import load


class Residual(torch.nn.Module):
    """A pointwise convolution added to what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(16, 16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 16, 8, 8) to the same."""
        map_ = torch.relu(x)
        return map_ + self.convolution(map_)  # type: ignore[no-any-return]


def residual() -> Model:
    """The network with random weights."""
    module = Residual().eval()
    digest = weights.weights_hash(module)
    return Model("residual", module, (1, 16, 8, 8), None, (), "random", digest)


def kept(built: Built, folder: Path) -> Graph:
    """The network's graph, as an artifact would have it."""
    kernel_object.write(built.factory, folder, keys=built.keys)
    return graph.load(folder)


def test_every_task_is_done_by_as_many_calls_as_the_network_makes(
    two_heads_built: Built, tmp_path: Path
) -> None:
    found = kept(two_heads_built, tmp_path)
    called = Counter(call.task.key for call in found.calls if call.task is not None)
    assert called == {task.key: task.calls for task in two_heads_built.tasks}
    assert len(called) > 2 and len(found.calls) > sum(called.values())  # some do none: pooling


def test_the_arguments_of_a_role_have_the_shapes_of_the_task(
    two_heads_built: Built, tmp_path: Path
) -> None:
    found = kept(two_heads_built, tmp_path)
    tasks = {task.key: task.task for task in two_heads_built.tasks}
    kinds = set()
    for call in (call for call in found.calls if call.task is not None):
        assert call.task is not None
        task = tasks[call.task.key]
        wanted = [arg[1] for arg in task.args if isinstance(arg, tuple) and arg[0] == "TENSOR"]
        given = [found.tensors[entry].shape for entry in call.of_roles(*TENSORS)]
        (output,) = (found.tensors[entry].shape for entry in call.of_roles("output"))
        assert given == wanted and output == convolutions(task.name, task.args)[-1].output
        kinds.add(len(given))
    assert kinds == {2, 4}  # some are fused


def test_a_residual_is_another_argument_unless_it_is_the_data_as_well(tmp_path: Path) -> None:
    found = kept(network.build(residual(), load("host")), tmp_path)
    (call,) = (call for call in found.calls if call.task is not None)
    assert call.task is not None
    assert call.task.roles == ("data", "kernel", "other", "output")


def test_kernels_of_a_family_of_tvm_s_do_no_task(tmp_path: Path) -> None:
    """Its layout is blocked too, so that they compute what tasks of ours do."""
    built = network.build(residual(), load("host"), family="nchwc")
    found = kept(built, tmp_path)
    assert any("conv2d_NCHWc" in call.kernel for call in found.calls) and not built.tasks
    assert all(call.task is None for call in found.calls)
