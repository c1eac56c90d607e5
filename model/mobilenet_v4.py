# SPDX-License-Identifier: Apache-2.0
"""MobileNet v4 conv small (Qin et al. 2024, arXiv:2404.10518): universal inverted bottlenecks, ReLU only.

Takes the width multiplier and the class count; gives an `nn.Module` from images (N, 3, H, W) to logits
(N, classes). `aliases` are timm's names of its tensors.
"""

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn

from mnc.model.layers import ConvBN, check_counts, scaled

STEM, LAST, HIDDEN = 32, 960, 1280


class Conv(NamedTuple):
    """A convolution with BN and ReLU."""

    kernel: int
    outputs: int
    stride: int


class Row(NamedTuple):
    """A universal inverted bottleneck of the paper's Table 11: kernels of the depthwise convolutions before
    and after its expansion, 0 where there is none.
    """

    start: int
    middle: int
    expansion: int
    outputs: int
    stride: int = 1


STAGES: tuple[tuple[Conv | Row, ...], ...] = (
    (Conv(3, 32, 2), Conv(1, 32, 1)),
    (Conv(3, 96, 2), Conv(1, 64, 1)),
    (Row(5, 5, 3, 96, 2), *(Row(0, 3, 2, 96),) * 4, Row(3, 0, 4, 96)),
    (
        Row(3, 3, 6, 128, 2),
        Row(5, 5, 4, 128),
        Row(0, 5, 4, 128),
        Row(0, 5, 3, 128),
        *(Row(0, 3, 4, 128),) * 2,
    ),
    (Conv(1, LAST, 1),),
)


class Bottleneck(nn.Module):
    """Filter by a depthwise, expand by a pointwise, filter again, project by a linear pointwise, add input.

    Either filter may be missing; the last one there is has the stride.
    """

    def __init__(self, inputs: int, row: Row, *, width: float) -> None:
        super().__init__()
        hidden, outputs = scaled(inputs * row.expansion), scaled(row.outputs * width)
        self.dw_start = _depthwise(
            inputs, row.start, stride=1 if row.middle else row.stride, activation=None
        )
        self.pw_exp = ConvBN(inputs, hidden)
        self.dw_mid = _depthwise(hidden, row.middle, stride=row.stride, activation=nn.ReLU)
        self.pw_proj = ConvBN(hidden, outputs, activation=None)
        self.residual = row.stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.pw_proj(self.dw_mid(self.pw_exp(self.dw_start(x))))
        return x + out if self.residual else out


class MobileNetV4ConvSmall(nn.Module):
    """The paper's network with PyTorch padding and BN epsilon, as timm trained it. Narrower ones keep the
    stem's channels, all keep the classifier's. ValueError for counts that are not positive.
    """

    def __init__(self, *, width: float = 1.0, classes: int = 1000, in_channels: int = 3) -> None:
        super().__init__()
        check_counts(width=width, classes=classes, in_channels=in_channels)
        self.width, self.classes, self.in_channels = width, classes, in_channels
        channels = scaled(STEM * max(1.0, width))
        self.stem = ConvBN(in_channels, channels, kernel=3, stride=2)
        stages = []
        for rows in STAGES:
            blocks: list[nn.Module] = []
            for row in rows:
                blocks.append(_block(channels, row, width=width))
                channels = scaled(row.outputs * width)
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = ConvBN(channels, HIDDEN)
        self.classifier = nn.Linear(HIDDEN, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) float32 to logits (N, classes)."""
        features = self.head(self.pool(self.blocks(self.stem(x))))
        logits: Tensor = self.classifier(features.flatten(1))
        return logits


def aliases(names: Iterable[str]) -> dict[str, str]:
    """This network's names of those of timm's among `names`."""
    return {name: ours for name in names if (ours := _ours(name)) != name}


def _ours(name: str) -> str:
    head, _, tensor = name.rpartition(".")
    *block, layer = head.split(".")
    if not block:
        known = {"conv_stem": "stem.conv", "bn1": "stem.bn"}
        known |= {"conv_head": "head.conv", "norm_head": "head.bn"}
        return f"{known.get(layer, layer)}.{tensor}"
    return ".".join((*block, "bn" if layer == "bn1" else layer, tensor))


def _block(inputs: int, row: Conv | Row, *, width: float) -> nn.Module:
    if isinstance(row, Row):
        return Bottleneck(inputs, row, width=width)
    return ConvBN(inputs, scaled(row.outputs * width), kernel=row.kernel, stride=row.stride)


def _depthwise(
    channels: int, kernel: int, *, stride: int, activation: type[nn.Module] | None
) -> nn.Module:
    if not kernel:
        return nn.Identity()
    return ConvBN(
        channels, channels, kernel=kernel, stride=stride, groups=channels, activation=activation
    )
