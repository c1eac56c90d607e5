# SPDX-License-Identifier: Apache-2.0
"""The assembly of AArch64's pointwise tiles, run by qemu: it sums what plain loops sum."""

from pathlib import Path

from mnc.compile.templates import lane_assembly, lane_kernel
from mnc.compile.templates.lane_assembly import Kernel
from mnc.compile.templates.lane_kernel import Part
from tests.compile.templates.assembly_run import checked

# Groups of all sizes, one pixel, full registers; float and half.
KERNELS = [
    *(
        Kernel(channels, pixels, 4, lanes, ahead=2 * 16 * (pixels + 2) if lanes == 2 else 0)
        for channels in (1, 2, 4)
        for lanes in (2, 4)
        for pixels in {1, 3, lane_assembly.most_pixels(channels, lanes=lanes)}
    ),
    Kernel(1, 7, 4, 2, ahead=2 * 16 * 112 * 112),
    Kernel(1, 23, 2, 4, ahead=2 * 16 * 25, after=(23 * 16 - 3 * 25 * 16, 23 * 16 - 2 * 25 * 16)),
    Kernel(2, 9, 2, 2, ahead=0),
]
# With C's expression for each number, and what the sums are added to; sums of 300s leave a half's range.
LARGEST, SMALL = 65504, "rand() % 7 - 3"
CASES = [
    *((kernel, part, SMALL, 0) for kernel in KERNELS for part in (Part.WHOLE, Part.BIASED)),
    *((kernel, Part.BEGUN, SMALL, 5) for kernel in KERNELS[:2]),
    (Kernel(4, 4, 2, 2, ahead=0), Part.FIRST, SMALL, 0),
    (Kernel(1, 16, 2, 4, ahead=0), Part.NEXT, SMALL, -1000),
    (Kernel(1, 4, 2, 4, ahead=0), Part.LAST, SMALL, -1000),
    (Kernel(2, 3, 2, 2, ahead=0), Part.FIRST, "300", 0),
    (Kernel(1, 5, 2, 2, ahead=0), Part.NEXT, "300", -LARGEST),
]
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#define CHECK(NAME, T, CHANNELS, PIXELS, BLOCK, BLOCKS, NUMBER, BEFORE, MOST, BIASED)                    \\
    int32_t NAME(void *, void *, void *, int64_t, int64_t, int64_t, int64_t, void *);                    \\
    static void check_##NAME(void)                                                                       \\
    {                                                                                                    \\
        static T data[BLOCKS][PIXELS + 2][BLOCK], weights[CHANNELS][BLOCKS + 1][BLOCK][BLOCK];           \\
        static T sums[CHANNELS][PIXELS + 1][BLOCK], bias[CHANNELS][BLOCK];                               \\
        for (size_t i = 0; i < sizeof bias / sizeof(T); i++) ((T *)bias)[i] = (T)(NUMBER);               \\
        for (size_t i = 0; i < sizeof data / sizeof(T); i++) ((T *)data)[i] = (T)(NUMBER);               \\
        for (size_t i = 0; i < sizeof weights / sizeof(T); i++) ((T *)weights)[i] = (T)(NUMBER);         \\
        for (size_t i = 0; i < sizeof sums / sizeof(T); i++) ((T *)sums)[i] = (T)(BEFORE);               \\
        NAME(sums, data, weights, BLOCKS, sizeof data[0], sizeof weights[0], sizeof sums[0], bias);      \\
        int wrong = 0;                                                                                   \\
        for (int c = 0; c < CHANNELS; c++)                                                               \\
            for (int p = 0; p <= PIXELS; p++)                                                            \\
                for (int v = 0; v < BLOCK; v++) {                                                        \\
                    float sum = BIASED && p < PIXELS ? bias[c][v] : 0;                                   \\
                    for (int k = 0; p < PIXELS && k < BLOCKS * BLOCK; k++)                               \\
                        sum += data[k / BLOCK][p][k % BLOCK] * weights[c][k / BLOCK][k % BLOCK][v];      \\
                    float total = BEFORE + (float)(T)sum;                                                \\
                    wrong += (T)(total < MOST ? total : MOST) != sums[c][p][v];                          \\
                }                                                                                        \\
        printf(#NAME ": %d wrong\\n", wrong);                                                            \\
    }
"""


def test_a_tile_s_sums_are_those_of_plain_loops(tmp_path: Path) -> None:
    arguments = {
        lane_kernel.name(one, part): f"{'float' if one.size == 4 else '__fp16'}, {one.channels}, "
        f"{one.pixels}, {one.block}, {1 + at % 4}, {number}, {before}, {LARGEST}, "
        f"{int(part is Part.BIASED)}"
        for at, (one, part, number, before) in enumerate(CASES)
    }
    functions = [lane_kernel.function(kernel, part) for kernel, part, *_ in CASES]
    said = checked(HARNESS, arguments, functions, tmp_path, cpu="cortex_a76")
    assert said == [f"{name}: 0 wrong" for name in arguments]
