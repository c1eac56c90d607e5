# SPDX-License-Identifier: Apache-2.0
"""The shapes, padding and channel counts of both networks."""

import pytest
import torch
from torch import nn

from mnc.model.layers import pads
from mnc.model.mobilenet_v1 import MobileNetV1, small_28x28
from mnc.model.mobilenet_v2 import InvertedResidual, MobileNetV2


@pytest.mark.parametrize("resolution", [224, 192, 160, 128, 97])
@pytest.mark.parametrize("padding", ["torch", "same"])
def test_v1_halves_the_map_five_times(resolution: int, padding: str) -> None:
    module = MobileNetV1(width=0.25, resolution=resolution, padding=padding).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        features = module.blocks(module.stem(torch.rand(1, 3, resolution, resolution)))
    assert features.shape == (1, 256, -(-resolution // 32), -(-resolution // 32))


@pytest.mark.parametrize("width", [1.0, 0.75, 0.5, 0.25, 0.1, 1.4])
def test_v1_channels(width: float) -> None:
    module = MobileNetV1(width=width, resolution=32)
    assert module.stem.conv.out_channels == max(int(32 * width), 8)
    assert module.classifier.in_features == max(int(1024 * width), 8)
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) + 1 == 28


def test_v1_other_classes_and_channels() -> None:
    module = MobileNetV1(width=0.25, resolution=64, classes=7, in_channels=4, activation="relu")
    assert module.eval()(torch.rand(2, 4, 64, 64)).shape == (2, 7)
    assert not any(isinstance(layer, nn.ReLU6) for layer in module.modules())


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"resolution": 0}, {"classes": 0}, {"padding": "valid"}]
)
def test_v1_refuses_what_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"positive|unknown"):
        MobileNetV1(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", range(3, 20))
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_tensorflows(size: int, stride: int) -> None:
    """ceil(size / stride) outputs, the fewest zeros that give them, the odd one after."""
    before, after = pads(size, kernel=3, stride=stride, padding="same")
    assert (size + before + after - 3) // stride + 1 == -(-size // stride)
    assert 0 <= after - before <= 1
    assert before + after == 0 or (size + before + after - 4) // stride + 1 < -(-size // stride)


def test_same_padding_of_an_even_map_is_after() -> None:
    assert pads(224, kernel=3, stride=2, padding="same") == (0, 1)
    assert pads(224, kernel=3, stride=2, padding="torch") == (1, 1)


def test_small_variant_ends_in_one_pixel_without_pooling() -> None:
    module = small_28x28().eval()
    x = torch.rand(3, 1, 28, 28)
    assert module.blocks(module.stem(x)).shape == (3, 256, 1, 1)
    assert module(x).shape == (3, 10)
    assert not any(isinstance(layer, nn.AdaptiveAvgPool2d) for layer in module.modules())


def test_v2_structure() -> None:
    module = MobileNetV2().eval()
    blocks = [layer for layer in module.modules() if isinstance(layer, InvertedResidual)]
    assert len(blocks) == 17
    assert sum(block.residual for block in blocks) == 10
    assert module(torch.rand(1, 3, 96, 96)).shape == (1, 1000)
    assert MobileNetV2(width=0.5, classes=3).eval()(torch.rand(1, 3, 64, 64)).shape == (1, 3)
