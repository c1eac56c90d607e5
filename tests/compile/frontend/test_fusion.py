# SPDX-License-Identifier: Apache-2.0
"""Pairs are found where fusing is right, left alone where it is not, and the log decides."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mnc.compile.codegen import network
from mnc.compile.frontend import fusion, importer, integer_fusion, tasks
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.trial import Trial, trial_of
from mnc.model.quantization.graph import graph_of
from mnc.model.quantization.reference import exact_reference
from mnc.model.zoo import Model
from mnc.targets import Target, load
from tests.compile.frontend import quantized_network


class Branching(nn.Module):
    """The map between the first two convolutions is read twice; that between the last two is not."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.narrow = nn.Conv2d(64, 16, 1)
        self.last = nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) to (1, 16, H/2, W/2)."""
        wide = torch.relu(self.wide(x))
        both = torch.cat([self.depthwise(wide), wide], dim=1)
        return self.last(nn.functional.hardtanh(self.narrow(both), 0.0, 6.0))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def host() -> Target:
    return load("host")


@pytest.fixture(scope="module")
def branching() -> Model:
    torch.manual_seed(0)
    return Model(
        name="branching",
        network=Branching().eval(),
        input_shape=(1, 3, 14, 14),
        preprocess=None,
        labels=(),
        weights="random",
        weights_hash="",
    )


def kinds(built: network.Built) -> list[str]:
    return sorted(task.kind for task in built.tasks)


def output(built: network.Built, image: Any) -> Any:
    import tvm
    from tvm.contrib import graph_executor

    executor = graph_executor.GraphModule(built.factory["default"](tvm.cpu(0)))
    executor.set_input("input", tvm.nd.array(image))
    executor.run()
    return executor.get_output(0).numpy()


def test_a_map_that_something_else_reads_is_kept(branching: Model, host: Target) -> None:
    mod = importer.import_model(branching, host).mod
    (pair,) = fusion.pairs(mod)
    assert isinstance(pair, fusion.Pair) and pair.activation == "relu6"
    assert int(pair.depthwise.attrs.strides[0]) == 2


def test_the_fused_network_gives_what_pytorch_gives(branching: Model, host: Target) -> None:
    built = network.build(branching, host)
    assert "fused" in kinds(built)
    image = np.random.default_rng(0).standard_normal(branching.input_shape).astype(np.float32)
    with torch.no_grad():
        wanted = branching.module(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(output(built, image), wanted, atol=1e-4 * np.abs(wanted).max())


def tried(task: TunableTask, cost: float, threads: int = 1, *, measurer: str = "test") -> Trial:
    """A verified trial of some config of the task."""
    space = task.task.config_space
    config = space.get(next(i for i in range(space.range_length) if space.is_index_valid(i)))
    return trial_of(
        task.task, config, costs=(cost,), measurer=measurer, verified=True, threads=threads
    )


@pytest.mark.parametrize(
    ("fused_cost", "threads", "is_fused"), [(1.9e-3, 1, True), (2.1e-3, 1, False), (1e-3, 4, False)]
)
def test_the_log_decides_by_costs_of_as_many_threads(
    branching: Model, host: Target, fused_cost: float, threads: int, is_fused: bool
) -> None:
    found = tasks.extract_all(importer.import_model(branching, host), host)
    trials = [
        tried(task, fused_cost, threads) if task.kind == "fused" else tried(task, 1e-3)
        for task in found
    ]
    assert ("fused" in kinds(network.build(branching, host, trials))) == is_fused


@pytest.mark.parametrize("tuned", [("pointwise", "depthwise"), ("pointwise",)])
def test_parts_that_were_tuned_are_not_replaced_by_an_untuned_pair(
    branching: Model, host: Target, tuned: tuple[str, ...]
) -> None:
    found = tasks.extract_all(importer.import_model(branching, host), host)
    trials = [tried(task, 1e-3) for task in found if task.kind in tuned]
    assert "fused" not in kinds(network.build(branching, host, trials))


@pytest.mark.parametrize(("measurer", "is_fused"), [("test in-network", True), ("test", False)])
def test_pairs_of_integers_are_fused_where_they_were_faster_in_the_network(
    host: Target, monkeypatch: pytest.MonkeyPatch, measurer: str, is_fused: bool
) -> None:
    """Alone, kernels write sums of 32 bits: what that costs says nothing of pairs."""
    monkeypatch.setattr(integer_fusion, "LEAST_BYTES", 1)
    model = quantized_network.model()
    found = tasks.extract_all(importer.import_model(model, host), host)
    assert any(task.only_in_network for task in found)
    trials = [tried(task, 1e-3, measurer=measurer) for task in found]
    built = network.build(model, host, trials)
    assert ("fused" in kinds(built)) == is_fused
    image = np.random.default_rng(2).uniform(-2, 2, model.input_shape).astype(np.float32)
    assert (output(built, image) == exact_reference(graph_of(model))(image)[0]).all()
