# SPDX-License-Identifier: Apache-2.0
"""The assembly of AArch64's pointwise tiles of bytes, run by qemu: it sums what plain loops sum."""

from pathlib import Path

from mnc.compile.templates import pair_assembly, pair_kernel
from mnc.compile.templates.pair_assembly import Kernel
from tests.compile.templates.assembly_run import checked

# One pixel, two, full registers.
KERNELS = [
    Kernel(channels, pixels, load, ahead=2 * 16 * (pixels + 2) * (pixels != 2))
    for channels in (4, 8, 16)
    for load in (8, 16)
    for most in [pair_assembly.most_pixels(channels, load=load)]
    for pixels in {1, min(2, most), most}
]
# Of one block also, and of numbers and weights as large as can be.
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#define CHECK(NAME, CHANNELS, PIXELS, BLOCKS)                                              \\
    int32_t NAME(void *, void *, void *, int64_t, int64_t);                                \\
    static void check_##NAME(void)                                                         \\
    {                                                                                      \\
        static int8_t data[BLOCKS][PIXELS + 2][16], weights[BLOCKS + 1][16][16];           \\
        static int32_t sums[PIXELS + 1][16];                                               \\
        int wrong = 0;                                                                     \\
        for (size_t i = 0; i < sizeof data; i++)                                           \\
            ((int8_t *)data)[i] = rand() % 3 ? -128 : rand();                              \\
        for (size_t i = 0; i < sizeof weights; i++)                                        \\
            ((int8_t *)weights)[i] = rand() % 3 ? -127 : rand() % 255 - 127;               \\
        NAME(sums, data, weights, BLOCKS, sizeof data[0]);                                 \\
        for (int p = 0; p <= PIXELS; p++)                                                  \\
            for (int v = 0; v < 16; v++) {                                                 \\
                int32_t sum = 0;                                                           \\
                for (int k = 0; p < PIXELS && v < CHANNELS && k < BLOCKS * 16; k++)        \\
                    sum += data[k / 16][p][k % 16] * weights[k / 16][v][k % 16];           \\
                wrong += sum != sums[p][v];                                                \\
            }                                                                              \\
        printf(#NAME ": %d wrong\\n", wrong);                                              \\
    }
"""


def test_a_tile_s_sums_are_those_of_plain_loops(tmp_path: Path) -> None:
    arguments = {
        pair_kernel.name(one): f"{one.channels}, {one.pixels}, {1 + number % 4}"
        for number, one in enumerate(KERNELS)
    }
    functions = [pair_kernel.function(one) for one in KERNELS]
    said = checked(HARNESS, arguments, functions, tmp_path, cpu="cortex_a72")
    assert said == [f"{name}: 0 wrong" for name in arguments]
