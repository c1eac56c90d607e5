# SPDX-License-Identifier: Apache-2.0
"""The blocked layout computes what the plain one does, and leaves no transform between layers."""

from typing import Any

import numpy as np
import pytest
import torch
import tvm
from torch import Tensor, nn
from tvm import relay
from tvm.contrib import graph_executor

from mnc.compile.frontend import layout
from mnc.compile.toolchain import pass_context
from tests.compile.frontend.comparing import operators

BLOCK = 8


class Odd(nn.Module):
    """Channels that fill no whole vector, a residual, squeeze-and-excite, concatenation, groups, several
    channels made of one, dilation, resizing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 10, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(10, 10, 5, padding=2, groups=10)
        self.pointwise = nn.Conv2d(10, 10, 1)
        self.squeeze = nn.Conv2d(10, 4, 1)
        self.excite = nn.Conv2d(4, 10, 1)
        self.grouped = nn.Conv2d(10, 20, 3, padding=1, groups=5)
        self.multiplied = nn.Conv2d(20, 40, 3, padding=1, groups=20)
        self.spread = nn.Conv2d(40, 40, 3, padding=2, dilation=2, groups=40)
        self.wide = nn.Conv2d(40, 16, 3, padding=3, dilation=3, bias=False)
        self.classifier = nn.Linear(32, 5)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 5)."""
        x = torch.relu(self.first(image))
        x = x + self.pointwise(torch.clamp(self.depthwise(x), 0, 6))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        x = self.multiplied(self.grouped(x * gate))
        x = nn.functional.interpolate(x, size=(13, 11), mode="bilinear")
        x = self.wide(self.spread(x))
        x = torch.cat([x, torch.max_pool2d(x, 3, stride=1, padding=1)], 1)
        x = torch.flatten(nn.functional.adaptive_avg_pool2d(x * 0.5, 1), 1)
        return self.classifier(x)  # type: ignore[no-any-return]


def imported(module: nn.Module, shape: tuple[int, ...]) -> Any:
    """The traced module in Relay, weights bound, plain layout."""
    traced = torch.jit.trace(module.eval(), torch.zeros(shape))  # type: ignore[no-untyped-call]
    mod, params = relay.frontend.from_pytorch(traced, [("input", shape)])
    mod["main"] = relay.build_module.bind_params_by_name(mod["main"], params)
    return relay.transform.FoldConstant()(relay.transform.InferType()(mod))


def outputs(mod: Any, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What a module computes, compiled for any x86 or ARM CPU."""
    with pass_context.pass_context():
        library = relay.build(mod, target="llvm")
    graph = graph_executor.GraphModule(library["default"](tvm.cpu()))
    graph.set_input("input", image)
    graph.run()
    return graph.get_output(0).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("batch", [1, 2])
def test_a_network_of_odd_shapes_computes_the_same(batch: int) -> None:
    torch.manual_seed(0)
    module, shape = Odd(), (batch, 3, 18, 18)
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    blocked = layout.to_blocked(imported(module, shape), BLOCK)
    with torch.no_grad():
        wanted = module(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(outputs(blocked, image), wanted, atol=1e-5 * np.abs(wanted).max())


def test_every_convolution_is_in_the_one_layout() -> None:
    names = operators(layout.to_blocked(imported(Odd(), (1, 3, 18, 18)), BLOCK))
    assert names.count("nn.contrib_depthwise_conv2d_NCHWc") == 2
    # First, pointwise, squeeze, excite, grouped, multiplied, wide and the classifier.
    assert names.count("nn.contrib_conv2d_NCHWc") == 8
    assert not {"nn.conv2d", "nn.dense", "layout_transform"} & set(names)


class Wider(nn.Module):
    """BlazeFace's: a residual branch of more channels than its input, PReLU, resizing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 13, 1)
        self.activation, self.last = nn.PReLU(13), nn.Conv2d(13, 5, 1)
        nn.init.uniform_(self.activation.weight, -0.5, 0.5)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 5, 2H, 2W)."""
        x = self.first(image)
        x = self.activation(self.second(x) + nn.functional.pad(x, (0, 0, 0, 0, 0, 7)))
        x = nn.functional.pad(x, (1, 0, 0, 1), value=3.0)
        return self.last(nn.functional.interpolate(x, scale_factor=2.0))  # type: ignore[no-any-return]


def test_channels_are_added_and_maps_resized_without_a_transform() -> None:
    torch.manual_seed(0)
    module, shape = Wider(), (1, 3, 9, 9)
    blocked = layout.to_blocked(imported(module, shape), BLOCK)
    names = operators(blocked)
    assert names.count("layout_transform") == 1  # of the output
    assert {"image.resize2d", "nn.pad", "minimum"} <= set(names) and "nn.prelu" not in names
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with torch.no_grad():
        wanted = module(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(outputs(blocked, image), wanted, atol=1e-5)


def test_an_image_is_read_without_a_transform() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    names = operators(layout.to_blocked(imported(module, (1, 3, 9, 9)), BLOCK))
    assert "layout_transform" not in names


def test_a_network_without_convolutions_is_left_alone() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    names = operators(layout.to_blocked(imported(module, (1, 3, 2, 2)), BLOCK))
    assert "nn.dense" in names
