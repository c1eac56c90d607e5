# SPDX-License-Identifier: Apache-2.0
"""Every weight goes where the blocked layout says, and padding is zero."""

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_row_of_taps_lies_in_pairs_pixel_by_pixel(channels: int) -> None:
    weight = np.random.default_rng(0).integers(1, 9, (2, channels, 3, 3))
    packed = packing.in_pairs(weight)
    assert packed.shape == (2, 2, 3, -(-3 * channels // 2))
    for place in range(2 * packed.shape[3]):
        column, channel = divmod(place, channels)
        wanted = weight[:, channel, :, column] if column < 3 else 0
        assert (packed[:, place % 2, :, place // 2] == wanted).all()


def test_depthwise_weights_land_at_their_block() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 1, 3, 3)).astype(np.float32)
    packed = packing.pack_depthwise(weight, 4)
    assert packed.shape == (2, 1, 3, 3, 1, 4)
    np.testing.assert_array_equal(packed[1, 0, :, :, 0, 0], weight[4, 0])
    assert not packed[1, 0, :, :, 0, 1:].any()


@pytest.mark.parametrize(
    ("channels", "out", "groups", "merged"),
    [
        (32, 64, 2, 2),  # whole blocks already
        (128, 128, 32, 16),  # two groups of 4 fill a block of 8
        (20, 20, 5, 3),  # the last of three is half empty
        (16, 32, 16, 2),  # two channels made of each
        (30, 60, 3, 1),  # no number of them fills blocks
    ],
)
def test_merged_groups_convolve_the_same(channels: int, out: int, groups: int, merged: int) -> None:
    torch.manual_seed(0)
    image, weight = torch.randn(1, channels, 5, 5), torch.randn(out, channels // groups, 3, 3)
    wanted = torch.nn.functional.conv2d(image, weight, groups=groups)
    ours, found = packing.merge_groups(weight.numpy(), groups, in_block=8, out_block=8)
    assert found == merged
    filled = torch.zeros(1, ours.shape[1] * merged, 5, 5)
    filled[:, :channels] = image
    got = torch.nn.functional.conv2d(filled, torch.from_numpy(ours), groups=merged)
    torch.testing.assert_close(got[:, :out], wanted)


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
