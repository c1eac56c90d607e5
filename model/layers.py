# SPDX-License-Identifier: Apache-2.0
"""What the zoo's networks are made of: convolutions with BN, paddings, channel counts.

Gives modules whose parameters are named as published checkpoints have them.
"""

from typing import Literal

from torch import Tensor, nn

Padding = Literal["torch", "same"]


class ConvBN(nn.Module):
    """Convolution without bias, BN, then the activation, if any.

    `pad` are the zeros before and after each row and column, as `pads` gives them; else half the kernel.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        pad: tuple[int, int] | None = None,
        activation: type[nn.Module] | None = nn.ReLU,
        bn_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        before, after = pad or (kernel // 2, kernel // 2)
        symmetric = before == after
        # Symmetric padding stays inside the convolution, where it costs nothing.
        self.pad = nn.Identity() if symmetric else nn.ZeroPad2d((before, after, before, after))
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=before if symmetric else 0,
            groups=groups,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(outputs, eps=bn_eps)
        self.act = activation(inplace=True) if activation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H', W')."""
        out: Tensor = self.act(self.bn(self.conv(self.pad(x))))
        return out


def conv_bn(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None,
    bn_eps: float = 1e-5,
) -> nn.Sequential:
    """As `ConvBN`, but numbered 0, 1, 2, as in torchvision's state dicts."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=bn_eps),
    ]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


def scaled(channels: float, *, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, not more than 10% below `channels` (TF-slim's rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def pads(size: int, *, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Zeros before and after each row and column of a `size` x `size` map."""
    if padding == "torch":
        return kernel // 2, kernel // 2
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def check_counts(*, width: float, classes: int, in_channels: int) -> None:
    """ValueError for a width or a count that is not positive."""
    if not (width > 0 and classes > 0 and in_channels > 0):
        raise ValueError("width, classes and in_channels must be positive")
