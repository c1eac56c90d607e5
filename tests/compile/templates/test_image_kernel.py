# SPDX-License-Identifier: Apache-2.0
"""The assembly of AArch64's first convolution of bytes, run by qemu: it sums what plain loops sum."""

from pathlib import Path

import pytest

from mnc.compile.templates import image_assembly, image_kernel, integer_image
from mnc.compile.templates.image_assembly import Kernel
from tests.compile.templates.assembly_run import checked

# As many pixels as registers hold, and one; odd and even numbers of pairs, and one; pixels that share none.
KERNELS = [
    Kernel(blocks, pixels, taps, step, load)
    for load in (8, 16)
    for blocks, pixels, taps, step in [
        (2, image_assembly.most_pixels(2), (3, 5), 3),
        (1, image_assembly.most_pixels(1), (3, 5), 3),
        (2, 1, (3, 2), 1),
        (1, 2, (1, 1), 2),
        (1, 1, (7, 11), 3),
    ]
]
# Of numbers and weights as large as can be.
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#define CHECK(NAME, BLOCKS, PIXELS, DOWN, ACROSS, STEP)                                    \\
    int32_t NAME(void *, void *, void *, int64_t, int64_t);                                \\
    static void check_##NAME(void)                                                         \\
    {                                                                                      \\
        static int8_t data[DOWN][PIXELS * STEP + ACROSS][2];                               \\
        static int8_t weights[BLOCKS][DOWN][ACROSS][16][2];                                \\
        static int32_t sums[BLOCKS][PIXELS + 1][16];                                       \\
        int wrong = 0;                                                                     \\
        for (size_t i = 0; i < sizeof data; i++)                                           \\
            ((int8_t *)data)[i] = rand() % 3 ? -128 : rand();                              \\
        for (size_t i = 0; i < sizeof weights; i++)                                        \\
            ((int8_t *)weights)[i] = rand() % 3 ? -127 : rand() % 255 - 127;               \\
        NAME(sums, data, weights, sizeof data[0], sizeof sums[0]);                         \\
        for (int at = 0; at < BLOCKS * (PIXELS + 1) * 16; at++) {                          \\
            int o = at / 16 / (PIXELS + 1), p = at / 16 % (PIXELS + 1), v = at % 16;       \\
            int32_t sum = 0;                                                               \\
            for (int i = 0; p < PIXELS && i < DOWN * ACROSS * 2; i++)                      \\
                sum += data[i / 2 / ACROSS][p * STEP + i / 2 % ACROSS][i % 2] *            \\
                       weights[o][i / 2 / ACROSS][i / 2 % ACROSS][v][i % 2];               \\
            wrong += sum != sums[o][p][v];                                                 \\
        }                                                                                  \\
        printf(#NAME ": %d wrong\\n", wrong);                                              \\
    }
"""


def test_a_tile_s_sums_are_those_of_plain_loops(tmp_path: Path) -> None:
    arguments = {
        image_kernel.name(
            one
        ): f"{one.blocks}, {one.pixels}, {one.taps[0]}, {one.taps[1]}, {one.step}"
        for one in KERNELS
    }
    functions = [image_kernel.function(one) for one in KERNELS]
    said = checked(HARNESS, arguments, functions, tmp_path, cpu="cortex_a72")
    assert said == [f"{name}: 0 wrong" for name in arguments]


@pytest.mark.parametrize(
    ("channels", "size", "stride", "found"),
    [
        (3, (3, 225, 112), 2, (5, 338, 3)),
        (3, (3, 226, 112), 2, (5, 339, 3)),
        (1, (3, 30, 14), 2, (2, 15, 1)),
        (1, (2, 29, 14), 2, None),  # of pairs there would be a fifteenth pixel
        (3, (3, 224, 222), 1, None),  # every other pixel begins within a pair
        (4, (7, 229, 112), 2, (14, 458, 4)),
    ],
)
def test_rows_of_pixels_are_rows_of_pairs_where_pixels_begin_with_one(
    channels: int, size: tuple[int, ...], stride: int, found: tuple[int, ...] | None
) -> None:
    assert integer_image.in_pairs(channels, size, stride) == found
