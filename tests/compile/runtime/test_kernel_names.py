# SPDX-License-Identifier: Apache-2.0
"""What the names that TVM gives to kernels tell, of its own families and of what is no convolution."""

import pytest

from mnc.compile.runtime import kernel_names
from mnc.compile.runtime.kernel_names import Shape

CASES: dict[str, tuple[tuple[Shape, ...], Shape, str, int]] = {
    "nn_conv2d_add": (((1, 3, 8, 8), (16, 3, 3, 3)), (1, 16, 8, 8), "first conv", 16 * 64 * 27),
    "nn_conv2d_add_1": (((1, 16, 8, 8), (8, 16, 1, 1)), (1, 8, 8, 8), "pointwise", 8 * 64 * 16),
    "nn_contrib_conv2d_NCHWc": (
        ((1, 2, 1, 1, 8), (4, 2, 1, 1, 8, 4), (1, 4, 1, 1, 4)),
        (1, 4, 1, 1, 4),
        "dense",
        16 * 16,
    ),
    "nn_contrib_depthwise_conv2d_NCHWc": (
        ((1, 2, 6, 6, 8), (2, 1, 3, 3, 1, 8)),
        (1, 2, 6, 6, 8),
        "depthwise",
        16 * 36 * 9,
    ),
    "nn_dense_add": (((1, 16), (10, 16), (1, 10)), (1, 10), "dense", 160),
    "nn_adaptive_avg_pool2d": (((1, 16, 7, 7),), (1, 16, 1, 1), "pool", 0),
    "layout_transform": (((1, 16, 7, 7),), (1, 2, 7, 7, 8), "layout transform", 0),
    "add_exp": (((1, 16), (1, 16)), (1, 16), "other", 0),
    "mnc_convolution_depthwise_add": (
        ((1, 1, 6, 6, 8), (2, 1, 1, 1, 8, 8), (1, 2, 1, 1, 8), (2, 1, 3, 3, 1, 8)),
        (1, 2, 6, 6, 8),
        "fused",
        0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_kind_and_multiply_adds(name: str) -> None:
    read, made, kind, macs = CASES[name]
    weights = kernel_names.weights(name, read)
    assert kernel_names.kind(name, weights, made) == kind
    assert kernel_names.macs(weights, made) == macs
