# SPDX-License-Identifier: Apache-2.0
"""Equalization changes weights, not the network; ranges become alike, and 8 bits tell more."""

from typing import Any

import torch
from torch import Tensor, fx, nn

from mnc.model.quantization import equalization, kinds
from mnc.model.quantization.graph import graph_of
from mnc.model.quantization.plan import plan
from mnc.model.quantization.post_training import quantize
from tests.model.quantization.networks import Blocks, images, model_of


class Uneven(nn.Module):
    """A residual block as MobileNet v2's, its channels' ranges a hundred times apart, and one of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expand = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.project, self.classifier = nn.Conv2d(16, 8, 1), nn.Linear(8, 4)
        with torch.no_grad():
            for layer in (self.stem, self.project, self.expand):
                layer.weight.mul_(torch.logspace(-1.5, 0.5, len(layer.weight))[:, None, None, None])
                layer.weight[2] = 0
                layer.bias.mul_(0)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = nn.functional.relu6(self.depthwise(nn.functional.relu6(self.expand(x))))
        logits: Tensor = self.classifier((x + self.project(y)).mean((2, 3)))
        return logits


def equalized(module: nn.Module) -> tuple[fx.GraphModule, Any, Any]:
    graph = graph_of(model_of(module))
    where, rows = plan(graph), [(one,) for one in images()]
    with torch.no_grad():
        before = equalization.ranges(graph, where, rows)
        equalization.equalize(graph, where, before)
        return graph, before, equalization.ranges(graph, where, rows)


def test_the_network_is_the_same_and_its_channels_are_alike() -> None:
    torch.manual_seed(4)
    module = Uneven().eval()
    graph, before, after = equalized(module)
    for image in images():
        torch.testing.assert_close(graph(image), module(image), rtol=1e-4, atol=1e-5)
    sums = [node for node in graph.graph.nodes if kinds.is_sum(node)]
    assert sums
    for node in sums:
        live = before[node].largest > 0
        spread, now = (
            float(one[node].largest[live].max() / one[node].largest[live].min())
            for one in (before, after)
        )
        assert spread > 20 and now < spread / 4
    capped = [node for node in after if kinds.bounds(node)]
    assert len(capped) == 2 and all(float(after[node].largest.max()) <= 6 for node in capped)


def test_8_bits_then_tell_more() -> None:
    torch.manual_seed(4)
    report = quantize(model_of(Uneven().eval()), images()).report
    assert report.equalized > 1 and report.snr > 30


def test_a_map_that_something_else_reads_stays_as_it_is() -> None:
    """Squeeze and excitation, hard swish, SiLU and concatenations have no factor pass."""
    torch.manual_seed(3)
    module = Blocks().eval()
    graph, _, _ = equalized(module)
    for image in images(3):
        torch.testing.assert_close(graph(image), module(image), rtol=1e-4, atol=1e-5)
