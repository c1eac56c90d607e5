# SPDX-License-Identifier: Apache-2.0
"""Networks that carry quantization keep their own scales, whichever tool they come from, or are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from mnc.model.quantization import kinds
from mnc.model.quantization.imported import carries_quantization, remarks, with_its_scales
from mnc.model.quantization.operators import LARGEST_WEIGHT
from mnc.model.quantization.reference import exact_reference
from mnc.support.errors import UserError
from tests.model.quantization.networks import Blocks, images, model_of
from tests.model.quantization.quantized_forms import FORMS, SHAPE, quantized, trained

LEVELS = 2  # of the logits' own grid, by which sums in floats, rounded at ties, may differ


def graph_of(model: Any) -> fx.GraphModule:
    assert isinstance(model.module, fx.GraphModule)
    return model.module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", FORMS)
def test_its_outputs_are_the_network_s_own(form: str, tmp_path: Path) -> None:
    model, own = quantized(form, tmp_path)
    assert carries_quantization(model)
    made = with_its_scales(model)
    assert made.precision == "int8" and made.name == model.name
    names = [kinds.kind(node) for node in graph_of(made).graph.nodes]
    assert names.count("quantized_weight") == 4 and "batch_norm" not in names and "div" not in names
    markers = [one for one in graph_of(made).graph.nodes if kinds.kind(one) == "fake_quantize"]
    level = float(markers[-1].args[1])
    found, wanted = [], []
    for image in images(20, SHAPE):
        found.append(exact_reference(made.module)(image.numpy())[0])
        with torch.no_grad():
            wanted.append(own(image).numpy())
    steps = np.rint(np.abs(np.concatenate(found) - np.concatenate(wanted)) / level)
    assert len(np.unique(np.concatenate(wanted))) > 20
    assert steps.max() <= (0 if form.startswith("converted") else LEVELS)
    assert (steps > 0).mean() < 0.2


def test_weights_may_use_all_of_a_byte_and_share_a_scale() -> None:
    module = graph_of(with_its_scales(model_of(trained(backend="x86"), SHAPE)))
    values = [one for one in module.buffers() if one.dtype == torch.int8]
    assert min(int(one.min()) for one in values) == -LARGEST_WEIGHT - 1 and not remarks(module)
    shared = graph_of(with_its_scales(model_of(trained(), SHAPE)))
    assert "4 of 4 layers have one scale" in remarks(shared)[0]


def test_weights_with_a_zero_point_are_rounded_anew() -> None:
    """As torch's convert does; what is lost is half a step of the wider grid."""
    torch.manual_seed(0)
    module = Rounded(map=(0.05, 0, -128, 127), weight=(0.004, 250, 0, 255)).eval()
    with torch.no_grad():
        module.conv.weight[0] = -0.9  # 225 steps below zero
    made = with_its_scales(model_of(module, SHAPE))
    assert "weights of 1 channels have a zero point" in remarks(made.module)[-1]
    for image in images(3, SHAPE):
        found = exact_reference(made.module)(image.numpy())[0]
        np.testing.assert_allclose(found, module(image).detach().numpy(), atol=0.01)


def test_scales_are_those_of_training_not_of_what_is_run_later() -> None:
    observing = trained(observing=True)
    before = [one.clone() for name, one in observing.named_buffers() if name.endswith("scale")]
    model = model_of(observing, SHAPE)
    assert carries_quantization(model)
    stored = [
        float(node.args[1])
        for node in graph_of(with_its_scales(model)).graph.nodes
        if kinds.kind(node) == "fake_quantize"
    ]
    after = [one for name, one in observing.named_buffers() if name.endswith("scale")]
    assert all(map(torch.equal, before, after))
    assert set(stored) <= {float(one) for one in before if one.numel() == 1}


class Rounded(nn.Module):
    """A convolution whose input or weights are rounded as `ways` say."""

    def __init__(self, **ways: Any) -> None:
        super().__init__()
        self.conv, self.ways = nn.Conv2d(3, 4, 1), ways

    def forward(self, x: Tensor) -> Tensor:
        rounded: Any = torch.fake_quantize_per_tensor_affine
        channels: Any = torch.fake_quantize_per_channel_affine
        weight = self.conv.weight
        if "map" in self.ways:
            x = rounded(x, *self.ways["map"])
        if "channels" in self.ways:
            x = channels(x, torch.ones(3), torch.zeros(3).int(), 1, 0, 255)
        if "weight" in self.ways:
            weight = rounded(weight, *self.ways["weight"])
        return nn.functional.conv2d(x, weight)


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        ({"map": (0.1, 0, -32768, 32767)}, "numbers of -32768 to 32767.*quantize it in 8 bits"),
        ({"channels": True}, "a scale for each channel.*per tensor"),
        ({"weight": (0.0001, 0, -32768, 32767)}, "weights are stored in 8 bits"),
    ],
)
def test_what_8_bits_cannot_hold_is_refused_in_words(ways: dict[str, Any], words: str) -> None:
    model = model_of(Rounded(**ways), SHAPE)
    assert carries_quantization(model)
    with pytest.raises(
        UserError, match=f"test is quantized in a way that cannot be kept: .*{words}"
    ):
        with_its_scales(model)


def test_few_bits_and_signed_maps_are_kept() -> None:
    """4 bits are a clamp, signed 8 bits are 128 more."""
    module = Rounded(map=(0.05, 0, -128, 127), weight=(0.1, 0, -8, 7)).eval()
    made = with_its_scales(model_of(module, SHAPE))
    for image in images(3, SHAPE):
        found = exact_reference(made.module)(image.numpy())[0]
        np.testing.assert_allclose(found, module(image).detach().numpy(), atol=1e-6)


def test_a_network_that_has_seen_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="has not seen a value yet"):
        with_its_scales(model_of(trained(seen=0), SHAPE))


def test_a_float_network_carries_none() -> None:
    assert not carries_quantization(model_of(Blocks()))
