# SPDX-License-Identifier: Apache-2.0
"""Networks that meet what quantization has rules for, and what it has none for."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnc.model import zoo

SHAPE = (1, 3, 16, 16)


class Blocks(nn.Module):
    """A residual block, squeeze and excitation, hard swish, SiLU, a concatenation, pools and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.left, self.right = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 3, padding=1)
        self.classifier = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(F.pad(x, (0, 1, 0, 1)))
        x = F.relu(x + self.pointwise(F.hardswish(self.depthwise(x))))
        means = F.adaptive_avg_pool2d(x, 1)
        x = x * F.hardsigmoid(self.excite(F.relu(self.squeeze(means))))
        x = F.max_pool2d(x, 3, 2, 1)
        x = torch.cat([F.silu(self.left(x)), self.right(x)], 1)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


class Unknown(nn.Module):
    """Operators without an integer rule around a convolution, and a head that is read in float."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cumsum(self.first(x), 2)
        return torch.softmax(torch.sin(self.second(x)), 1)


class Dead(nn.Module):
    """A layer of zeros, a channel that never fires, a constant map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)
        self.third, self.last = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)
        with torch.no_grad():
            self.first.weight[0] = 0
            self.first.bias.copy_(torch.tensor([-3.0, 0.1, 0.2, 0.3]))  # type: ignore[union-attr]
            self.second.weight.zero_()
            self.third.weight.zero_(), self.third.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        out: Tensor = self.last(x + self.third(x))
        return out


def model_of(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> zoo.Model:
    return zoo.Model("test", module.eval(), shape, None, (), "random", "hash")


def images(count: int = 8, shape: tuple[int, ...] = SHAPE) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.rand(1, *shape[1:], generator=generator) * 2 - 1 for _ in range(count)]
