# SPDX-License-Identifier: Apache-2.0
"""`nn.Unfold` and `nn.Fold` in terms of operators that the compiler's importer has.

Take the arguments of `aten::im2col` and `aten::col2im`; give what these give. A tap is a place in the window.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mnc.model.trace_constants import known_now, shape_of

Ints = Sequence[int]


def im2col(x: Tensor, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Tensor:
    """(N, C, H, W) to (N, C * taps, windows): each tap is a slice of the padded map."""
    batch, channels, *size = shape_of(x)
    made = _windows(size, kernel, dilation, padding, stride)
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    taps = [
        padded[:, :, top : top + (made[0] - 1) * stride[0] + 1 : stride[0]][
            ..., left : left + (made[1] - 1) * stride[1] + 1 : stride[1]
        ]
        for top in range(0, kernel[0] * dilation[0], dilation[0])
        for left in range(0, kernel[1] * dilation[1], dilation[1])
    ]
    return torch.stack(taps, 2).reshape(batch, channels * len(taps), made[0] * made[1])


def col2im(
    x: Tensor, size: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints
) -> Tensor:
    """(N, C * taps, windows) to (N, C, H, W): a transposed convolution whose weights put each tap in its
    place.
    """
    count = kernel[0] * kernel[1]
    batch, rows, _ = shape_of(x)
    made = _windows(size, kernel, dilation, padding, stride)
    channels = rows // count
    with known_now():
        spread = torch.zeros(
            count, *((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        )
        spread[:, :: dilation[0], :: dilation[1]] = torch.eye(count).reshape(count, *kernel)
        weight = spread.unsqueeze(1).repeat(channels, 1, 1, 1)
        smallest = [
            (m - 1) * s - 2 * p + extent
            for m, s, p, extent in zip(made, stride, padding, spread.shape[1:], strict=True)
        ]
        missing = [wanted - least for wanted, least in zip(size, smallest, strict=True)]
    maps = x.reshape(batch, rows, *made)
    return torch.convolution(maps, weight, None, stride, padding, [1, 1], True, missing, channels)


def unfold(x: Tensor, axis: int, size: int, step: int) -> Tensor:
    """Windows along `axis`, what is in them along a new last one: `Tensor.unfold`."""
    count = (shape_of(x)[axis] - size) // step + 1
    places = range(0, count * step, step)
    inner = [torch.stack([x.select(axis, at + tap) for at in places], axis) for tap in range(size)]
    return torch.stack(inner, -1)


def _windows(size: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> list[int]:
    """How many windows there are along each axis."""
    axes = zip(size, kernel, dilation, padding, stride, strict=True)
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in axes]
