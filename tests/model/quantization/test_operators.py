# SPDX-License-Identifier: Apache-2.0
"""The markers: their numbers, and that every way in which a network is read keeps them."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from mnc.model import prepare, zoo
from mnc.model.quantization.operators import fake_quantize, quantized_weight


def half_even(exact: Fraction) -> int:
    return round(exact)  # of a Fraction, ties to even


@pytest.mark.parametrize("zero_point", [0, 3, 128, 255])
@pytest.mark.parametrize("scale", [0.5, 0.1, 0.0235294122248888])
def test_activations_are_rounded_half_to_even_after_one_multiplication(
    scale: float, zero_point: int
) -> None:
    x = torch.cat([torch.linspace(-300, 300, 4801) * scale, torch.tensor([1e9, -1e9, 0.0])])
    by = np.float32(1 / np.float64(np.float32(scale)))
    wanted = []
    for value in x.numpy():
        steps = half_even(Fraction(float(value * by)) + zero_point)
        wanted.append(np.float32(min(max(steps, 0), 255) - zero_point) * np.float32(scale))
    assert np.array_equal(fake_quantize(x, scale, zero_point).numpy(), np.array(wanted))


def test_weights_have_a_scale_for_each_output_channel() -> None:
    w = torch.arange(-127, 128, dtype=torch.int8)[:240].reshape(4, 3, 4, 5)
    scale = torch.tensor([0.1, 0.2, 0.3, 1.0])
    assert torch.equal(quantized_weight(w, scale), w.float() * scale[:, None, None, None])


class Marked(nn.Module):
    weight: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 128, (4, 3, 3, 3), dtype=torch.int8))
        self.register_buffer("scale", torch.rand(4) / 100)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.conv2d(fake_quantize(x, 0.01, 128), quantized_weight(self.weight, self.scale))
        return fake_quantize(torch.relu(x), 0.1, 0)


class BuffersToo(fx.Tracer):
    proxy_buffer_attributes = True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["graph", "trace", "frozen", "export"])
def test_the_markers_survive(form: str) -> None:
    module = Marked().eval()
    x = torch.rand(1, 3, 8, 8)
    traced: Any = torch.jit.trace(module, x)  # type: ignore[no-untyped-call]
    network = {
        "graph": fx.GraphModule(module, BuffersToo().trace(module)),
        "trace": traced,
        "frozen": torch.jit.freeze(traced),
        "export": torch.export.export(module, (x,)).module(),
    }[form]
    model = zoo.Model("marked", network, (1, 3, 8, 8), None, (), "random", "")
    found = prepare.trace(model)
    kinds = [node.kind() for node in found.inlined_graph.nodes()]
    assert kinds.count("mnc::fake_quantize") == 2
    assert kinds.count("mnc::quantized_weight") == 1
    assert torch.equal(found(x), module(x))
