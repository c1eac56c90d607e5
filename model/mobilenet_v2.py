# SPDX-License-Identifier: Apache-2.0
"""MobileNet v2 (Sandler et al. 2018, arXiv:1801.04381): inverted residuals, linear bottlenecks.

Takes the width multiplier and class count; gives an `nn.Module` from images (N, 3, H, W) to logits
(N, classes). Parameter names are torchvision's, so that its published weights load as they are.
"""

from collections.abc import Container

from torch import Tensor, nn

from mnc.model.layers import check_counts, conv_bn, scaled

STEM, LAST = 32, 1280
# (expansion, output channels, repeats, stride of the first repeat): the paper's Table 2.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
BLOCKS = sum(repeats for _, _, repeats, _ in STAGES)
# In a block without nested modules, as older code has it, what a layer's number is here.
FLAT_FIRST = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}  # the block without expansion
FLAT = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class InvertedResidual(nn.Module):
    """Expand by a pointwise, filter by a depthwise, project by a linear pointwise, add input."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(conv_bn(inputs, hidden, activation=nn.ReLU6))
        layers += [
            conv_bn(hidden, hidden, kernel=3, stride=stride, groups=hidden, activation=nn.ReLU6),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.conv(x)
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """The paper's network with PyTorch padding and BN epsilon, as torchvision trained it."""

    def __init__(self, *, width: float = 1.0, classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        check_counts(width=width, classes=classes, in_channels=in_channels)
        self.width, self.classes, self.in_channels = width, classes, in_channels
        channels, last = scaled(STEM * width), scaled(LAST * max(1.0, width))
        stem = conv_bn(in_channels, channels, kernel=3, stride=2, activation=nn.ReLU6)
        features: list[nn.Module] = [stem]
        for expansion, full, repeats, first_stride in STAGES:
            outputs = scaled(full * width)
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                features.append(
                    InvertedResidual(channels, outputs, stride=stride, expansion=expansion)
                )
                channels = outputs
        features.append(conv_bn(channels, last, activation=nn.ReLU6))
        self.features = nn.Sequential(*features)
        self.pool = nn.AdaptiveAvgPool2d(1)
        # The name classifier.1 is torchvision's; its dropout does nothing at inference.
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) float32 to logits (N, classes)."""
        logits: Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return logits


def aliases(names: Container[str]) -> dict[str, str]:
    """This network's names of the tensors of a checkpoint whose blocks are flat, as torchvision's first
    ones and many since; none for a checkpoint of other `names`.
    """
    if "features.1.conv.0.weight" not in names:
        return {}
    return {
        f"features.{block}.conv.{flat}.{tensor}": f"features.{block}.conv.{ours}.{tensor}"
        for block in range(1, BLOCKS + 1)
        for flat, ours in (FLAT_FIRST if block == 1 else FLAT).items()
        for tensor in TENSORS
    }
