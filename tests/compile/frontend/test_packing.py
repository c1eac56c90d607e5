# SPDX-License-Identifier: Apache-2.0
"""Every weight goes where the blocked layout says, and padding is zero."""

import numpy as np

from mnc.compile.frontend import packing


def test_convolution_weights_land_at_their_block() -> None:
    weight = np.random.default_rng(0).standard_normal((10, 6, 3, 2)).astype(np.float32)
    packed = packing.pack_convolution(weight, 4, 8)
    assert packed.shape == (2, 2, 3, 2, 4, 8)
    for out in range(16):
        for into in range(8):
            got = packed[out // 8, into // 4, :, :, into % 4, out % 8]
            inside = out < 10 and into < 6
            np.testing.assert_array_equal(got, weight[out, into] if inside else np.zeros((3, 2)))


def test_depthwise_weights_land_at_their_block() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 1, 3, 3)).astype(np.float32)
    packed = packing.pack_depthwise(weight, 4)
    assert packed.shape == (2, 1, 3, 3, 1, 4)
    np.testing.assert_array_equal(packed[1, 0, :, :, 0, 0], weight[4, 0])
    assert not packed[1, 0, :, :, 0, 1:].any()


def test_operands_that_vary_over_pixels_are_refused() -> None:
    shape = (1, 4, 2, 2)
    assert packing.pack_operand(np.ones((4, 2, 2), np.float32), shape, 4) is None
    assert packing.pack_operand(np.ones((2, 2), np.float32), shape, 4) is None
    channel = packing.pack_operand(np.arange(4, dtype=np.float32).reshape(4, 1, 1), shape, 4)
    assert channel is not None
    np.testing.assert_array_equal(channel.reshape(-1), np.arange(4))
    scalar = packing.pack_operand(np.float32(3).reshape(1), shape, 4)
    assert scalar is not None
    assert scalar.shape == ()
