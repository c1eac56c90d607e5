# SPDX-License-Identifier: Apache-2.0
"""What a kernel is that does no task of ours, as far as the name that TVM gives it tells.

Takes that name and the shapes of what it reads and makes; gives its kind, its weights and its multiply-adds.
TVM's own convolutions are such kernels, and all kernels of artifacts whose graph names no tasks.
"""

import math
from collections.abc import Sequence

Shape = tuple[int, ...]

PREFIX = "tvmgen_default_fused_"
# What a kernel is, by the first of these that its name holds.
WORDS = {
    "convolution_depthwise": "fused",
    "depthwise": "depthwise",
    "conv2d": "conv",
    "dense": "dense",
    "pool": "pool",
    "mean": "pool",
    "layout_transform": "layout transform",
}


def kind(name: str, weights: Sequence[Shape], made: Shape) -> str:
    """As tasks are called where it is one; else by the operators that TVM names a kernel after."""
    found = next((kind for word, kind in WORDS.items() if word in name), "other")
    if found != "conv" or not weights:
        return found
    kernel = weights[0]
    if kernel[2:4] == (1, 1):
        return "dense" if made[2:4] == (1, 1) else "pointwise"
    channels = kernel[1] * (kernel[4] if len(kernel) == 6 else 1)
    return "first conv" if channels <= 4 else "conv"


def weights(name: str, read: Sequence[Shape]) -> tuple[Shape, ...]:
    """Which of the shapes that it reads are weights: OIHW, blocked or not, or OI of a dense layer."""
    if "conv" not in name and "dense" not in name:
        return ()
    blocked = tuple(shape for shape in read[1:] if len(shape) == 6)
    ranks = (4,) if "conv" in name else (2, 3)
    return blocked or tuple(shape for shape in read[1:] if len(shape) in ranks)[:1]


def macs(weights: Sequence[Shape], made: Shape) -> int:
    """Every element made sums over the weights' axes that are not output channels. 0 without weights, and for
    two convolutions in one kernel: what lies between them is not known.
    """
    if len(weights) != 1:
        return 0
    (kernel,) = weights
    summed = kernel[1:5] if len(kernel) >= 4 else kernel[1:2]
    return math.prod(made) * math.prod(summed)
