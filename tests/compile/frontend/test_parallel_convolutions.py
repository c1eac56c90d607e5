# SPDX-License-Identifier: Apache-2.0
"""Branches that are added become one convolution, with the same outputs."""

import torch
from torch import Tensor, nn

from mnc.compile.frontend.importer import import_model
from mnc.targets import load
from tests.compile.frontend.comparing import errors, lively_norm, named, operators


class Branches(nn.Module):
    """As MobileOne trains them: two kernels, one pixel, and the map itself, each with its BatchNorm."""

    def __init__(self, channels: int, groups: int, stride: int) -> None:
        super().__init__()
        self.identity = lively_norm(channels) if stride == 1 else None
        sizes = (1, 3, 3)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, size, stride, size // 2, groups=groups, bias=False),
                lively_norm(channels),
            )
            for size in sizes
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H / stride, W / stride)."""
        made = [] if self.identity is None else [self.identity(x)]
        made += [branch(x) for branch in self.branches]
        return torch.relu(sum(made[1:], start=made[0]))


class Apart(nn.Module):
    """Of these nothing can be merged: a branch that is read twice, another stride, an even kernel, a factor
    for each pixel where there are as many as channels."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.one = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
        self.even, self.shifted = nn.Conv2d(3, 3, 2, 2), nn.Conv2d(3, 3, 1, 2)
        self.pixels, self.small = nn.Parameter(torch.rand(1, 1, 3)), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) to four maps."""
        read_twice = self.one(x)
        row = x[:, :, :1, :3]
        scaled = self.small(row) + row * self.pixels
        return self.wide(x) + read_twice, read_twice, self.even(x) + self.shifted(x), scaled


def test_branches_of_one_map_are_one_convolution_each() -> None:
    torch.manual_seed(0)
    made = nn.Sequential(
        Branches(3, 1, 1), Branches(3, 1, 2), nn.Conv2d(3, 12, 1), Branches(12, 12, 1)
    )
    assert max(errors(made, (1, 3, 16, 18))) < 1e-5
    program = import_model(named(made, (1, 3, 16, 18)), load("host"))
    called = [one for one in operators(program.mod) if "conv2d" in one]
    assert len(called) == 4 and not any("batch_norm" in one for one in operators(program.mod))


def test_what_sees_other_pixels_or_is_read_elsewhere_stays_apart() -> None:
    torch.manual_seed(0)
    program = import_model(named(Apart(), (1, 3, 16, 18)), load("host"))
    assert len([one for one in operators(program.mod) if "conv2d" in one]) == 5
    assert max(errors(Apart(), (1, 3, 16, 18))) < 1e-5
