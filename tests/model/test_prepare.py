# SPDX-License-Identifier: Apache-2.0
"""Folding batch normalisation and tracing: nothing of it left, and the outputs stay."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mnc.model import zoo
from mnc.model.initialise import randomise
from mnc.model.mobilenet_v1 import MobileNetV1, small_28x28
from mnc.model.mobilenet_v2 import MobileNetV2
from mnc.model.prepare import example_inputs, fold_batch_norm, trace

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "v1 same": lambda: MobileNetV1(width=0.25, resolution=64, padding="same"),
    "v1 torch": lambda: MobileNetV1(width=0.5, resolution=64, padding="torch", bn_eps=1e-5),
    "small": small_28x28,
    "v2": lambda: MobileNetV2(width=0.35),
}


def lively(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    module = NETWORKS[name]()
    shape = (2, 1, 28, 28) if name == "small" else (2, 3, 64, 64)
    randomise(module, shape, seed=3)
    return module, shape


def norms(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in module.modules())


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_leaves_no_norm_and_the_same_outputs(name: str) -> None:
    module, shape = lively(name)
    before = copy.deepcopy(module.state_dict())
    folded = fold_batch_norm(module)
    assert norms(module) > 0
    assert norms(folded) == 0
    x = torch.rand(shape) * 2 - 1
    with torch.no_grad():
        assert relative(folded(x), module(x)) < 1e-5
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_a_folding_mistake_would_show() -> None:
    """Every statistic of every BN layer matters to the output: none is trivial."""
    module, shape = lively("v1 same")
    x = torch.rand(shape) * 2 - 1
    with torch.no_grad():
        wanted = module(x)
        for layer in [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]:
            kept = layer.running_mean
            assert kept is not None
            layer.running_mean = torch.zeros_like(kept)
            assert relative(module(x), wanted) > 1e-4
            layer.running_mean = kept


class Awkward(nn.Module):
    """BN that must stay (first, after a shared or a branching convolution) beside BN that folds."""

    def __init__(self, *, control_flow: bool = False) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.after_shared = nn.BatchNorm2d(3)
        self.branching = nn.Conv2d(3, 6, 3, padding=1, bias=True)
        self.after_branching = nn.BatchNorm2d(6)
        self.plain = nn.Conv2d(6, 8, 1, groups=2)
        self.after_plain = nn.BatchNorm2d(8)
        self.dense = nn.Linear(8, 5)
        self.after_dense = nn.BatchNorm1d(5, affine=False)
        self.control_flow = control_flow
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
                assert layer.running_mean is not None and layer.running_var is not None
                nn.init.uniform_(layer.running_var, 0.5, 2)
                nn.init.normal_(layer.running_mean)

    def forward(self, x: Tensor) -> Tensor:
        y = self.after_shared(self.shared(self.shared(self.first(x))))
        z = self.branching(y)
        z = torch.relu(self.after_branching(z)) + z
        if self.control_flow and x.shape[2] > 1000:
            z = -z
        out: Tensor = self.after_dense(self.dense(self.after_plain(self.plain(z)).mean((2, 3))))
        return out


def test_only_what_can_be_folded_is() -> None:
    torch.manual_seed(0)
    module = Awkward().eval()
    folded = fold_batch_norm(module)
    assert norms(module) == 5
    assert norms(folded) == 4
    x = torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        assert relative(folded(x), module(x)) < 1e-5


def jit_trace(module: nn.Module, x: Tensor) -> Any:
    return torch.jit.trace(module, x)  # type: ignore[no-untyped-call]


def model_of(module: nn.Module, shape: tuple[int, ...]) -> zoo.Model:
    return zoo.Model("test", module.eval(), shape, None, (), "random", "")


@pytest.mark.parametrize("control_flow", [False, True])
def test_tracing_an_awkward_network(control_flow: bool) -> None:
    torch.manual_seed(0)
    model = model_of(Awkward(control_flow=control_flow), (2, 3, 9, 9))
    traced = trace(model)
    x = torch.rand(2, 3, 9, 9)
    with torch.no_grad():
        assert relative(traced(x), model.module(x)) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_traces_are_plain(name: str) -> None:
    module, shape = lively(name)
    model = model_of(module, shape)
    traced = trace(model)
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert kinds <= {
        "aten::_convolution",
        "aten::adaptive_avg_pool2d",
        "aten::add",
        "aten::dropout",
        "aten::flatten",
        "aten::hardtanh_",
        "aten::linear",
        "aten::pad",
        "aten::relu_",
        "prim::Constant",
        "prim::GetAttr",
        "prim::ListConstruct",
    }
    (x,) = example_inputs(model)
    with torch.no_grad():
        assert relative(traced(x), module(x)) < 1e-5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["script", "trace", "export"])
@pytest.mark.parametrize("name", ["v1 same", "v2", "small"])
def test_network_files_trace_without_norm(name: str, form: str, tmp_path: Path) -> None:
    module, shape = lively(name)
    x = torch.rand(shape) * 2 - 1
    path = tmp_path / ("net.pt2" if form == "export" else "net.pt")
    if form == "export":
        torch.export.save(torch.export.export(module, (x,)), path)
    else:
        whole = torch.jit.script(module) if form == "script" else jit_trace(module, x)
        torch.jit.save(whole, path)
    model = zoo.load(str(path), input_shape=None if form == "export" else shape)
    assert model.input_shape == shape
    traced = trace(model)
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert not any("batch_norm" in kind or kind == "prim::If" for kind in kinds)
    assert "aten::_convolution" in kinds
    with torch.no_grad():
        assert relative(traced(x), module(x)) < 1e-5
