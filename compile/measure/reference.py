# SPDX-License-Identifier: Apache-2.0
"""What a tuned kernel must compute, by numpy and independent of every template.

Takes a `TunableTask`; gives seeded random arguments for its kernel and the result they must have. A config
may be used in a build only after its kernel has agreed.
"""

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.templates import (
    instructions,
    integer_convolution_depthwise,
    strassen,
    strassen_weights,
)
from mnc.compile.templates.blocked import FLOATS
from mnc.compile.templates.workload import Convolution, convolutions

Floats = NDArray[np.float32]
Numbers = NDArray[Any]
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "none": lambda values: values,
    "relu": lambda values: np.maximum(values, 0.0),
    "relu6": lambda values: np.clip(values, 0.0, 6.0),
}


def check_inputs(task: TunableTask) -> list[Numbers]:
    """The workload's tensors, the same on every call, and an empty output (N, O, OH, OW, o): floats in -1..1,
    integers from all over their range (weights but the least).
    """
    random = np.random.default_rng(zlib.crc32(task.key.encode()))
    tensors = (arg for arg in task.task.args if isinstance(arg, tuple) and arg[0] == "TENSOR")
    arrays = [_random(random, shape, dtype) for _, shape, dtype in tensors]
    if task.task.name == strassen.NAME:  # the seven matrices are those of one
        arrays[1] = strassen_weights.packed(strassen_weights.unpacked(arrays[1]))
    if arrays[1].dtype == np.int8 and arrays[1].ndim == 7:
        _limit_pairs(arrays[1], task.task.target)
    last = convolutions(task.task.name, task.task.args)[-1]
    if task.task.name == integer_convolution_depthwise.NAME:
        arrays[2], arrays[4] = _kept_small(random, task, arrays[2], arrays[4])
    return [*arrays, np.zeros(last.output, last.dtype if last.dtype in FLOATS else np.int32)]


def _random(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Numbers:
    if dtype in FLOATS:
        return random.uniform(-1, 1, shape).astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return random.integers(low, high + 1, shape, dtype=dtype).clip(max(low, -127))


def _kept_small(
    random: np.random.Generator, task: TunableTask, bias: Numbers, scale: Numbers
) -> tuple[Numbers, Numbers]:
    """Biases, and multipliers by which the sums of random bytes mostly stay within 8 bits, a few beyond."""
    kernel = convolutions(task.task.name, task.task.args)[0].kernel
    spread = 74.0**2 * np.sqrt(np.prod(kernel[1:5]))
    few = random.integers(-int(spread), int(spread) + 1, bias.shape, dtype=np.int32)
    return few, random.uniform(20 / spread, 90 / spread, scale.shape).astype(np.float32)


def _limit_pairs(kernel: Numbers, target: Any) -> None:
    """Weights (..., o, g) as large as the target's instruction is exact for, in place."""
    with target:
        largest = instructions.largest_pair(kernel.shape[-1])
    if largest:
        first = kernel[..., 0::2].astype(np.int32)
        kernel[..., 1::2] = kernel[..., 1::2].clip(-largest - first, largest - first)


def expected(task: TunableTask, inputs: list[Numbers]) -> Numbers:
    """The workload's output for `check_inputs`; of halves in float32."""
    first, *then = convolutions(task.task.name, task.task.args)
    if first.dtype not in FLOATS:
        sums = _integers(first, inputs[0], inputs[1])
        if not then:
            return sums
        stored = task.task.args[integer_convolution_depthwise.STORED_AT]
        made = _stored(sums + inputs[2], inputs[4], stored).astype(first.dtype)
        return _integers(then[0], made, inputs[3])
    inputs = [one.astype(np.float32) for one in inputs]
    if task.task.name == strassen.NAME:
        kernel, bias = (
            strassen_weights.unpacked(inputs[1]),
            strassen_weights.bias_unpacked(inputs[2]),
        )
        return ACTIVATIONS[first.activation](_convolve(first, inputs[0], kernel) + bias)
    result = _convolve(first, inputs[0], inputs[1])
    if then:
        bias, taps = inputs[2:4]
        result = _convolve(then[0], ACTIVATIONS[first.activation](result + bias), taps)
    return result


def _integers(part: Convolution, data: Numbers, kernel: Numbers) -> Numbers:
    """Integer sums by float64, in which they are exact; a kernel's input channels may lie in fours."""
    if kernel.ndim == 7:
        kernel = np.swapaxes(kernel, -1, -2).reshape(part.kernel)
    return _convolve(part, data.astype(np.float64), kernel.astype(np.float64)).astype(np.int32)


def _stored(sums: Numbers, scale: Numbers, stored: tuple[int, int, int]) -> Numbers:
    """int32 sums as the map between two convolutions has them (docs/int8.md, rule 2)."""
    zero, least, most = stored
    nearest = np.rint(sums.astype(np.float32) * scale)  # ties to even
    return (nearest + np.float32(zero)).clip(least, most)


def _convolve(part: Convolution, data: Numbers, kernel: Numbers) -> Numbers:
    """`data` (N, I, H, W, i) convolved with `kernel` (O, I / groups, KH, KW, i, o)."""
    if not part.is_depthwise and part.groups > 1:
        return _convolve_groups(part, data, kernel)
    result = np.zeros(part.output, data.dtype)
    height, width = result.shape[2:4]
    top, left, bottom, right = part.padding
    border = ((0, 0), (0, 0), (top, bottom), (left, right), (0, 0))
    source = np.pad(data, border, constant_values=part.pad_value)
    for tap_h in range(kernel.shape[2]):
        for tap_w in range(kernel.shape[3]):
            top, left = tap_h * part.dilation[0], tap_w * part.dilation[1]
            rows = slice(top, top + (height - 1) * part.strides[0] + 1, part.strides[0])
            columns = slice(left, left + (width - 1) * part.strides[1] + 1, part.strides[1])
            seen, weights = source[:, :, rows, columns, :], kernel[:, :, tap_h, tap_w]
            if part.is_depthwise:
                result += seen * weights[:, 0, 0, :][None, :, None, None, :]
            else:
                # (N, I, H, W, i) x (O, I, i, o) -> (N, H, W, O, o)
                product = np.tensordot(seen, weights, axes=((1, 4), (1, 2)))
                result += product.transpose(0, 3, 1, 2, 4)
    return result


def _convolve_groups(part: Convolution, data: Numbers, kernel: Numbers) -> Numbers:
    """Each group as a convolution of its own."""
    inputs, kernels = np.split(data, part.groups, axis=1), np.split(kernel, part.groups, axis=0)
    one = replace(part, data=inputs[0].shape, kernel=kernels[0].shape)
    results = [_convolve(one, *pair) for pair in zip(inputs, kernels, strict=True)]
    return np.concatenate(results, axis=1)
