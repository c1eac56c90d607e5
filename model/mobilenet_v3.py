# SPDX-License-Identifier: Apache-2.0
"""MobileNet v3 small and large (Howard et al. 2019, arXiv:1905.02244): squeeze and excitation, hard swish.

Takes the size, the width multiplier and the class count; gives an `nn.Module` from images (N, 3, H, W) to
logits (N, classes). Parameter names are torchvision's, so that its published weights load as they are.
"""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from mnc.model.layers import check_counts, conv_bn, scaled

Size = Literal["small", "large"]

STEM = 16
BN_EPS = 1e-3


class Row(NamedTuple):
    """A bottleneck of the paper's Tables 1 and 2: channels after its expansion and in the end."""

    kernel: int
    expanded: int
    outputs: int
    squeeze: bool
    activation: type[nn.Module]
    stride: int


RELU, SWISH = nn.ReLU, nn.Hardswish
ROWS: dict[Size, tuple[Row, ...]] = {
    "large": (
        Row(3, 16, 16, False, RELU, 1),
        Row(3, 64, 24, False, RELU, 2),
        Row(3, 72, 24, False, RELU, 1),
        Row(5, 72, 40, True, RELU, 2),
        *(Row(5, 120, 40, True, RELU, 1),) * 2,
        Row(3, 240, 80, False, SWISH, 2),
        Row(3, 200, 80, False, SWISH, 1),
        *(Row(3, 184, 80, False, SWISH, 1),) * 2,
        Row(3, 480, 112, True, SWISH, 1),
        Row(3, 672, 112, True, SWISH, 1),
        Row(5, 672, 160, True, SWISH, 2),
        *(Row(5, 960, 160, True, SWISH, 1),) * 2,
    ),
    "small": (
        Row(3, 16, 16, True, RELU, 2),
        Row(3, 72, 24, False, RELU, 2),
        Row(3, 88, 24, False, RELU, 1),
        Row(5, 96, 40, True, SWISH, 2),
        *(Row(5, 240, 40, True, SWISH, 1),) * 2,
        Row(5, 120, 48, True, SWISH, 1),
        Row(5, 144, 48, True, SWISH, 1),
        Row(5, 288, 96, True, SWISH, 2),
        *(Row(5, 576, 96, True, SWISH, 1),) * 2,
    ),
}
HIDDEN: dict[Size, int] = {"large": 1280, "small": 1024}  # of the classifier


class SqueezeExcitation(nn.Module):
    """Each channel times a factor in 0..1, which two pointwise layers make of all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = scaled(channels // 4)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.scale_activation = nn.Hardsigmoid(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`."""
        squeezed = self.activation(self.fc1(self.avgpool(x)))
        scale: Tensor = self.scale_activation(self.fc2(squeezed))
        return scale * x


class Bottleneck(nn.Module):
    """Expand by a pointwise, filter by a depthwise, weigh the channels, project by a linear pointwise."""

    def __init__(self, inputs: int, row: Row, *, width: float) -> None:
        super().__init__()
        expanded, outputs = scaled(row.expanded * width), scaled(row.outputs * width)
        act = row.activation
        layers: list[nn.Module] = []
        if expanded != inputs:
            layers.append(conv_bn(inputs, expanded, activation=act, bn_eps=BN_EPS))
        layers.append(
            conv_bn(
                expanded,
                expanded,
                kernel=row.kernel,
                stride=row.stride,
                groups=expanded,
                activation=act,
                bn_eps=BN_EPS,
            )
        )
        if row.squeeze:
            layers.append(SqueezeExcitation(expanded))
        layers.append(conv_bn(expanded, outputs, activation=None, bn_eps=BN_EPS))
        self.block = nn.Sequential(*layers)
        self.residual = row.stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.block(x)
        return x + out if self.residual else out


class MobileNetV3(nn.Module):
    """The paper's network with PyTorch padding, as torchvision trained it; ValueError for counts that are
    not positive.
    """

    def __init__(
        self, size: Size, *, width: float = 1.0, classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        check_counts(width=width, classes=classes, in_channels=in_channels)
        self.width, self.classes, self.in_channels = width, classes, in_channels
        channels = scaled(STEM * width)
        stem = conv_bn(in_channels, channels, kernel=3, stride=2, activation=SWISH, bn_eps=BN_EPS)
        features: list[nn.Module] = [stem]
        for row in ROWS[size]:
            features.append(Bottleneck(channels, row, width=width))
            channels = scaled(row.outputs * width)
        features.append(conv_bn(channels, 6 * channels, activation=SWISH, bn_eps=BN_EPS))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        hidden = scaled(HIDDEN[size] * width)
        self.classifier = nn.Sequential(
            nn.Linear(6 * channels, hidden),
            nn.Hardswish(inplace=True),
            nn.Dropout(0.2),  # for the names of what follows; at inference it does nothing
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) float32 to logits (N, classes)."""
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits
