# SPDX-License-Identifier: Apache-2.0
"""Small workloads of the templates, as tasks for this machine, whatever its vectors, or for a target."""

from typing import Any

import tvm

from mnc.compile.frontend import tasks
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.templates import convolution_depthwise, depthwise, direct, pointwise, strassen

HOST = "llvm -keys=cpu -model=test"
ARM_KEYS = "llvm -keys=arm_cpu,cpu -model=test"  # this machine, with the config spaces of ARM


def convolution(
    name: str,
    data: Any,
    kernel: Any,
    *,
    strides: Any = (1, 1),
    pad: Any = (0,) * 4,
    dilation: Any = (1, 1),
    target: str = HOST,
    dtype: str = "float32",
) -> TunableTask:
    """A template's own convolution of `data` (N, I, H, W, i) by `kernel` (O, I / groups, KH, KW, i, o)."""
    block, out = data[-1], kernel[-1]
    tensors = (("TENSOR", data, dtype), ("TENSOR", kernel, dtype))
    args = (*tensors, strides, pad, dilation, f"NCHW{block}c", f"NCHW{out}c", dtype)
    return tasks.from_workload(name, args, tvm.target.Target(target), calls=1)


def fused(
    data: Any,
    kernel: Any,
    taps: int,
    *,
    first: tuple[Any, Any] = ((1, 1), (0,) * 4),
    then: tuple[Any, Any] = ((1, 1), (1,) * 4),
    activation: str = "relu6",
    target: str = HOST,
    dtype: str = "float32",
) -> TunableTask:
    """A convolution and a `taps` x `taps` depthwise one on it; `first` and `then` are strides and padding."""
    channels, block = kernel[0], kernel[5]
    shapes = (data, kernel, (1, channels, 1, 1, block), (channels, 1, taps, taps, 1, block))
    tensors = (("TENSOR", shape, dtype) for shape in shapes)
    args = (*tensors, *first, *then, activation, dtype)
    return tasks.from_workload(convolution_depthwise.NAME, args, tvm.target.Target(target), calls=1)


def by_strassen(data: Any, outputs: int, activation: str) -> TunableTask:
    """A 1x1 convolution of `data` to so many blocks of channels, with bias and activation."""
    chunks, block = data[1], data[4]
    shapes = (data, (outputs // 2, 7, chunks // 2, 1, block, block), (1, outputs, 1, 1, block))
    tensors = (("TENSOR", shape, "float32") for shape in shapes)
    args = (*tensors, activation, "float32")
    return tasks.from_workload(strassen.NAME, args, tvm.target.Target(ARM_KEYS), calls=1)


# One vector of 16, 8 and 4 floats: AVX-512, AVX2 and NEON have these blocks; LLVM splits what is too wide.
CASES = {
    "fused 14x14": fused((1, 2, 14, 14, 8), (4, 2, 1, 1, 8, 8), 3),
    "fused 12x12/2 SAME": fused(
        (2, 2, 12, 12, 4), (6, 2, 1, 1, 4, 4), 3, then=((2, 2), (0, 0, 1, 1)), activation="relu"
    ),
    "fused 13x13 prime 5x5/2": fused(
        (1, 1, 13, 13, 16), (3, 1, 1, 1, 16, 16), 5, then=((2, 2), (2,) * 4), activation="none"
    ),
    "fused 3x5 odd": fused((1, 3, 3, 5, 4), (5, 3, 1, 1, 4, 4), 3),
    "fused without padding": fused((1, 1, 9, 9, 8), (2, 1, 1, 1, 8, 8), 3, then=((1, 1), (0,) * 4)),
    "fused first 3x3/2": fused(
        (1, 3, 40, 40, 1), (2, 3, 3, 3, 1, 16), 3, first=((2, 2), (0, 0, 1, 1))
    ),
    "fused, kernel shaped as taps": fused(
        (1, 1, 28, 28, 1), (1, 1, 3, 3, 1, 16), 3, first=((2, 2), (1,) * 4), activation="relu"
    ),
    "fused, data shaped as bias": fused((1, 2, 1, 1, 8), (2, 2, 1, 1, 8, 8), 3),
    "pointwise 14x14": convolution(pointwise.NAME, (1, 4, 14, 14, 16), (4, 4, 1, 1, 16, 16)),
    "pointwise 7x7": convolution(pointwise.NAME, (2, 8, 7, 7, 8), (6, 8, 1, 1, 8, 8)),
    "pointwise 5x3 odd": convolution(pointwise.NAME, (1, 3, 5, 3, 4), (5, 3, 1, 1, 4, 4)),
    "pointwise 13x13 prime": convolution(pointwise.NAME, (1, 20, 13, 13, 4), (3, 20, 1, 1, 4, 4)),
    "classifier": convolution(pointwise.NAME, (1, 16, 1, 1, 16), (7, 16, 1, 1, 16, 16)),
    "depthwise 3x3/1": convolution(
        depthwise.NAME, (1, 2, 14, 14, 8), (2, 1, 3, 3, 1, 8), pad=(1, 1, 1, 1)
    ),
    "depthwise 3x3/2 SAME": convolution(
        depthwise.NAME,
        (2, 2, 12, 12, 4),
        (2, 1, 3, 3, 1, 4),
        strides=(2, 2),
        pad=(0, 0, 1, 1),
    ),
    "depthwise 5x5 prime": convolution(
        depthwise.NAME, (1, 1, 11, 11, 16), (1, 1, 5, 5, 1, 16), pad=(2, 2, 2, 2)
    ),
    "depthwise dilated 5x5/2": convolution(
        depthwise.NAME,
        (1, 2, 13, 12, 8),
        (2, 1, 5, 5, 1, 8),
        strides=(2, 2),
        pad=(4, 6, 6, 6),
        dilation=(3, 3),
    ),
    "depthwise 1x1 map": convolution(
        depthwise.NAME, (1, 3, 1, 1, 16), (3, 1, 3, 3, 1, 16), pad=(1, 1, 1, 1)
    ),
    "first 3x3/2": convolution(
        direct.NAME,
        (1, 3, 20, 20, 1),
        (2, 3, 3, 3, 1, 16),
        strides=(2, 2),
        pad=(0, 0, 1, 1),
    ),
    "3x3 of blocks": convolution(
        direct.NAME, (1, 2, 6, 6, 4), (3, 2, 3, 3, 4, 4), pad=(1, 1, 1, 1)
    ),
    "dilated 3x3": convolution(
        direct.NAME, (1, 2, 9, 8, 4), (3, 2, 3, 3, 4, 4), pad=(2, 4, 2, 4), dilation=(2, 4)
    ),
    "3x3 in 3 groups": convolution(
        direct.NAME, (2, 6, 6, 6, 4), (12, 2, 3, 3, 4, 4), strides=(2, 2), pad=(1, 1, 1, 1)
    ),
    "by Strassen 8x8": by_strassen((1, 8, 8, 8, 4), 4, "relu6"),
    "by Strassen 5x5 odd": by_strassen((2, 2, 5, 5, 4), 4, "relu"),
    "by Strassen 6x5": by_strassen((1, 4, 6, 5, 4), 6, "none"),
    "strided 1x1": convolution(direct.NAME, (1, 2, 6, 6, 4), (3, 2, 1, 1, 4, 4), strides=(2, 2)),
}
