# SPDX-License-Identifier: Apache-2.0
"""What a tile of a pointwise convolution prefetches."""

import pytest

from mnc.compile.templates.assembly_function import VECTOR_BYTES
from mnc.compile.templates.lane_tile import FIRST_BLOCKS, Tile


@pytest.mark.parametrize("at_once", [12, 6, 4])
def test_every_block_of_the_map_is_prefetched_once_and_the_next_tile_s_first_ones(
    at_once: int,
) -> None:
    apart = 196 * VECTOR_BYTES
    tile = Tile(1, 1, 14, 12, at_once, lanes=4, ahead=FIRST_BLOCKS * apart, apart=apart)
    found = []
    for first, chunk, kernel, _ in tile.calls(2):
        assert first == 0
        last = chunk + at_once - 1
        found += [(block * apart + kernel.ahead) for block in range(chunk, last)]
        found += [last * apart + after for after in kernel.after]
    after = kernel.pixels * VECTOR_BYTES
    within = [block * apart for block in range(FIRST_BLOCKS, tile.blocks)]
    following = [after + block * apart for block in range(FIRST_BLOCKS)]
    beyond = [tile.blocks * apart]  # behind the map: the last block but one reads so far ahead
    assert sorted(found) == sorted([*within, *following, *beyond])
