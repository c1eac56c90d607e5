# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-lite0 (Liu 2020, after Tan and Le 2019, arXiv:1905.11946): no squeeze, ReLU6 for swish.

Takes the width multiplier, the class count and the padding style; gives an `nn.Module` from images
(N, C, resolution, resolution) to logits (N, classes). `aliases` are others' names of its tensors.
"""

from collections.abc import Container
from typing import NamedTuple

from torch import Tensor, nn

from mnc.model.layers import ConvBN, Padding, check_counts, pads, scaled

STEM, LAST = 32, 1280  # at any width


class Stage(NamedTuple):
    """Some bottlenecks, of which the first has the stride."""

    expansion: int
    kernel: int
    outputs: int
    repeats: int
    stride: int


STAGES = (
    Stage(1, 3, 16, 1, 1),
    Stage(6, 3, 24, 2, 2),
    Stage(6, 5, 40, 2, 2),
    Stage(6, 3, 80, 3, 2),
    Stage(6, 5, 112, 3, 1),
    Stage(6, 5, 192, 4, 2),
    Stage(6, 3, 320, 1, 1),
)
TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
TIMM, TENSORFLOW = "conv_stem.weight", "_conv_stem.weight"  # how a checkpoint's maker is told


class Bottleneck(nn.Module):
    """Expand by a pointwise, filter by a depthwise, project by a linear pointwise, add input."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        expansion: int,
        kernel: int,
        stride: int,
        pad: tuple[int, int],
        bn_eps: float,
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = (
            nn.Identity()
            if expansion == 1
            else ConvBN(inputs, hidden, activation=nn.ReLU6, bn_eps=bn_eps)
        )
        self.depthwise = ConvBN(
            hidden,
            hidden,
            kernel=kernel,
            stride=stride,
            groups=hidden,
            pad=pad,
            activation=nn.ReLU6,
            bn_eps=bn_eps,
        )
        self.project = ConvBN(hidden, outputs, activation=None, bn_eps=bn_eps)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


class EfficientNetLite0(nn.Module):
    """The published network; the defaults are those of TensorFlow's weights (`mobilenet_v1.MobileNetV1` says
    more of `padding`). ValueError for a width, resolution or count that is not positive.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        resolution: int = 224,
        classes: int = 1000,
        in_channels: int = 3,
        padding: Padding = "same",
        bn_eps: float = 1e-3,
    ) -> None:
        super().__init__()
        check_counts(width=width, classes=classes, in_channels=in_channels)
        if resolution < 1:
            raise ValueError("resolution must be positive")
        self.width, self.resolution = width, resolution
        self.classes, self.in_channels = classes, in_channels
        self.stem = ConvBN(
            in_channels,
            STEM,
            kernel=3,
            stride=2,
            pad=pads(resolution, kernel=3, stride=2, padding=padding),
            activation=nn.ReLU6,
            bn_eps=bn_eps,
        )
        channels, size, blocks = STEM, -(-resolution // 2), []
        for stage in STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                block = Bottleneck(
                    channels,
                    scaled(stage.outputs * width),
                    expansion=stage.expansion,
                    kernel=stage.kernel,
                    stride=stride,
                    pad=pads(size, kernel=stage.kernel, stride=stride, padding=padding),
                    bn_eps=bn_eps,
                )
                blocks.append(block)
                channels, size = scaled(stage.outputs * width), -(-size // stride)
        self.blocks = nn.Sequential(*blocks)
        self.head = ConvBN(channels, LAST, activation=nn.ReLU6, bn_eps=bn_eps)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(LAST, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, resolution, resolution) float32 to logits (N, classes)."""
        features = self.pool(self.head(self.blocks(self.stem(x))))
        logits: Tensor = self.classifier(features.flatten(1))
        return logits


def aliases(names: Container[str]) -> dict[str, str]:
    """This network's names of the tensors of a checkpoint by timm's names or by those of the PyTorch
    conversion of TensorFlow's weights; none for a checkpoint of other `names`.
    """
    if TIMM in names:
        layers = _timm_layers()
    elif TENSORFLOW in names:
        layers = _tensorflow_layers()
    else:
        return {}
    found = {}
    for ours, (conv, bn) in layers.items():
        found[f"{conv}.weight"] = f"{ours}.conv.weight"
        found |= {f"{bn}.{tensor}": f"{ours}.bn.{tensor}" for tensor in TENSORS}
    return found | {f"_fc.{tensor}": f"classifier.{tensor}" for tensor in ("weight", "bias")}


def _timm_layers() -> dict[str, tuple[str, str]]:
    """Our layers' names to timm's of convolution and BN: by stage, numbered in the order they run."""
    layers = {"stem": ("conv_stem", "bn1"), "head": ("conv_head", "bn2")}
    number = 0
    for stage, row in enumerate(STAGES):
        convs = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
        if row.expansion == 1:
            convs = {"depthwise": "conv_dw", "project": "conv_pw"}
        for repeat in range(row.repeats):
            for place, (layer, conv) in enumerate(convs.items(), start=1):
                theirs = f"blocks.{stage}.{repeat}"
                layers[f"blocks.{number}.{layer}"] = (f"{theirs}.{conv}", f"{theirs}.bn{place}")
            number += 1
    return layers


def _tensorflow_layers() -> dict[str, tuple[str, str]]:
    layers = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for number in range(sum(stage.repeats for stage in STAGES)):
        for place, layer in enumerate(("expand", "depthwise", "project")):
            theirs = f"_blocks.{number}"
            layers[f"blocks.{number}.{layer}"] = (f"{theirs}._{layer}_conv", f"{theirs}._bn{place}")
    return layers
