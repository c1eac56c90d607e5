# SPDX-License-Identifier: Apache-2.0
"""MobileNet v1 (Howard et al. 2017, arXiv:1704.04861), with its width and resolution multipliers.

Takes the multipliers, the class count and the padding style; gives an `nn.Module` from images
(N, C, resolution, resolution) to logits (N, classes). 28 layers: the first convolution, 13
depthwise and 13 pointwise convolutions, the classifier.
"""

from typing import Literal

from torch import Tensor, nn

from mnc.model.layers import ConvBN, Padding, pads

Activation = Literal["relu", "relu6"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6}

STEM = 32
# (output channels, stride) of the 13 depthwise-separable blocks. The paper's Table 1 prints stride
# 2 for the last one; its own map sizes (7x7 in and out) show that 1 is meant.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


def scaled(channels: int, width: float) -> int:
    """Channels after the width multiplier: rounded down, never below 8 (as in TF-slim)."""
    return max(int(channels * width), 8)


class SeparableBlock(nn.Module):
    """A 3x3 depthwise convolution, then a 1x1 pointwise one, each with its BN and activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int,
        pad: tuple[int, int],
        activation: type[nn.Module],
        bn_eps: float,
    ) -> None:
        super().__init__()
        self.depthwise = ConvBN(
            inputs,
            inputs,
            kernel=3,
            stride=stride,
            groups=inputs,
            pad=pad,
            activation=activation,
            bn_eps=bn_eps,
        )
        self.pointwise = ConvBN(inputs, outputs, activation=activation, bn_eps=bn_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.pointwise(self.depthwise(x))
        return out


class MobileNetV1(nn.Module):
    """The paper's network; the defaults are those of its published weights.

    `padding="same"` is TensorFlow's: for a stride-2 3x3 convolution over an even map, 0 before and
    1 after; `"torch"` is 1 and 1. The padding is fixed by `resolution`, so a forward pass takes
    that size only. ValueError for a width, resolution or class count that is not positive.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        resolution: int = 224,
        classes: int = 1000,
        in_channels: int = 3,
        activation: Activation = "relu6",
        padding: Padding = "same",
        bn_eps: float = 1e-3,
    ) -> None:
        super().__init__()
        if not (width > 0 and resolution > 0 and classes > 0 and in_channels > 0):
            raise ValueError("width, resolution, classes and in_channels must be positive")
        if activation not in ACTIVATIONS or padding not in ("torch", "same"):
            raise ValueError(f"unknown activation {activation!r} or padding {padding!r}")
        self.width, self.resolution = width, resolution
        self.classes, self.in_channels = classes, in_channels
        channels, size = scaled(STEM, width), -(-resolution // 2)
        self.stem = ConvBN(
            in_channels,
            channels,
            kernel=3,
            stride=2,
            pad=pads(resolution, kernel=3, stride=2, padding=padding),
            activation=ACTIVATIONS[activation],
            bn_eps=bn_eps,
        )
        blocks = []
        for full, stride in BLOCKS:
            outputs = scaled(full, width)
            blocks.append(
                SeparableBlock(
                    channels,
                    outputs,
                    stride=stride,
                    pad=pads(size, kernel=3, stride=stride, padding=padding),
                    activation=ACTIVATIONS[activation],
                    bn_eps=bn_eps,
                )
            )
            channels, size = outputs, -(-size // stride)
        self.blocks = nn.Sequential(*blocks)
        # Pooling a map that is already 1x1 would be work for nothing.
        self.pool = nn.Identity() if size == 1 else nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, resolution, resolution) float32 to logits (N, classes)."""
        features = self.pool(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(features.flatten(1))
        return logits


def small_28x28(*, width: float = 0.25, classes: int = 10, in_channels: int = 1) -> MobileNetV1:
    """The variant for MNIST-shaped images: the paper's own strides take 28x28 to 14, 7, 4, 2, 1.

    The last map is 1x1, so there is no pooling. PyTorch's padding, ReLU and BN epsilon.
    """
    return MobileNetV1(
        width=width,
        resolution=28,
        classes=classes,
        in_channels=in_channels,
        activation="relu",
        padding="torch",
        bn_eps=1e-5,
    )
