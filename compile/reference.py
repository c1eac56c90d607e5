# SPDX-License-Identifier: Apache-2.0
"""What a tuned kernel must compute, by numpy and independent of every template.

Takes a `TunableTask`; gives seeded random arguments for its kernel and the result they must have. A config
may be used in a build only after its kernel has agreed.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from compile.tasks import TunableTask, output_size
from compile.templates import depthwise

Floats = NDArray[np.float32]


def check_inputs(task: TunableTask) -> list[Floats]:
    """Data (N, I, H, W, i), kernel (O, I, KH, KW, i, o), both in -1..1 and the same on every call, and an
    empty output (N, O, OH, OW, o).
    """
    random = np.random.default_rng(zlib.crc32(task.key.encode()))
    data, kernel = (
        random.uniform(-1, 1, shape).astype(np.float32) for _, shape, _ in task.task.args[:2]
    )
    height, width = output_size(data.shape, kernel.shape, *task.task.args[2:4])
    shape = (data.shape[0], kernel.shape[0], height, width, kernel.shape[5])
    return [data, kernel, np.zeros(shape, np.float32)]


def expected(task: TunableTask, inputs: list[Floats]) -> Floats:
    """The convolution's output for `check_inputs`."""
    data, kernel, output = inputs
    result = np.zeros_like(output)
    height, width = result.shape[2:4]
    strides, padding = task.task.args[2], task.task.args[3]
    top, left, bottom, right = padding
    source = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right), (0, 0)))
    for tap_h in range(kernel.shape[2]):
        for tap_w in range(kernel.shape[3]):
            rows = slice(tap_h, tap_h + (height - 1) * strides[0] + 1, strides[0])
            columns = slice(tap_w, tap_w + (width - 1) * strides[1] + 1, strides[1])
            seen, weights = source[:, :, rows, columns, :], kernel[:, :, tap_h, tap_w]
            if task.task.name == depthwise.NAME:
                result += seen * weights[:, 0, 0, :][None, :, None, None, :]
            else:
                # (N, I, H, W, i) x (O, I, i, o) -> (N, H, W, O, o)
                product = np.tensordot(seen, weights, axes=((1, 4), (1, 2)))
                result += product.transpose(0, 3, 1, 2, 4)
    return result
