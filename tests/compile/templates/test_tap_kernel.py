# SPDX-License-Identifier: Apache-2.0
"""The assembly of AArch64's depthwise tiles of bytes, run by qemu: it sums what plain loops sum."""

from pathlib import Path

from mnc.compile.templates import tap_assembly, tap_kernel
from mnc.compile.templates.stored_sums import Bounds
from mnc.compile.templates.tap_assembly import Kernel
from tests.compile.templates.assembly_run import checked

# Full registers, one pixel; odd and even numbers of taps, and one; strides, dilation.
KERNELS = [
    *(
        Kernel(pixels, taps, step, apart=1, load=load)
        for load in (8, 16)
        for pixels, taps, step in [
            (tap_assembly.MOST_PIXELS, (3, 3), 1),
            (2, (3, 3), 2),
            (1, (2, 2), 1),
            (2, (1, 1), 1),
        ]
    ),
    Kernel(2, (7, 7), 1, apart=2, load=16),
    Kernel(3, (5, 5), 2, apart=1, load=8),
]
# Of numbers and weights as large as can be.
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#define CHECK(NAME, PIXELS, DOWN, ACROSS, STEP, APART)                                     \\
    int32_t NAME(void *, void *, void *, int64_t);                                         \\
    static void check_##NAME(void)                                                         \\
    {                                                                                      \\
        static int8_t data[DOWN][PIXELS * STEP + ACROSS * APART][16];                      \\
        static int8_t weights[DOWN][ACROSS][16];                                           \\
        static int32_t sums[PIXELS + 1][16];                                               \\
        int wrong = 0;                                                                     \\
        for (size_t i = 0; i < sizeof data; i++)                                           \\
            ((int8_t *)data)[i] = rand() % 3 ? -128 : rand();                              \\
        for (size_t i = 0; i < sizeof weights; i++)                                        \\
            ((int8_t *)weights)[i] = rand() % 3 ? -127 : rand() % 255 - 127;               \\
        NAME(sums, data, weights, sizeof data[0]);                                         \\
        for (int p = 0; p <= PIXELS; p++)                                                  \\
            for (int v = 0; v < 16; v++) {                                                 \\
                int32_t sum = 0;                                                           \\
                for (int i = 0; p < PIXELS && i < DOWN * ACROSS; i++)                      \\
                    sum += data[i / ACROSS][p * STEP + i % ACROSS * APART][v] *            \\
                           weights[i / ACROSS][i % ACROSS][v];                             \\
                wrong += sum != sums[p][v];                                                \\
            }                                                                              \\
        printf(#NAME ": %d wrong\\n", wrong);                                              \\
    }
"""


def test_a_tile_s_sums_are_those_of_plain_loops(tmp_path: Path) -> None:
    arguments = {
        tap_kernel.name(one): f"{one.pixels}, {one.taps[0]}, {one.taps[1]}, {one.step}, {one.apart}"
        for one in KERNELS
    }
    functions = [tap_kernel.function(one) for one in KERNELS]
    said = checked(HARNESS, arguments, functions, tmp_path, cpu="cortex_a72")
    assert said == [f"{name}: 0 wrong" for name in arguments]


# Sums of two channels in three are so large that bytes are at their bounds.
STORED = """
#include <math.h>
#include <string.h>
#pragma STDC FP_CONTRACT OFF
#define WHOLE 8388608.0f
#define SHIFT (12582912.0f + ZERO)
enum { ZERO = -100 };
static int64_t bits(float number)
{
    uint32_t made;
    memcpy(&made, &number, 4);
    return made;
}
static int8_t stored(int32_t sum, float factor, int low, int high)
{
    float product = (float)sum * factor;
    float level = rintf(product) + ZERO;
    return (int8_t)(level < low ? low : level > high ? high : level);
}
#define CHECK(NAME, PIXELS, DOWN, ACROSS, STEP, APART, LOW, HIGH, FLOATS)                  \\
    int32_t NAME(void *, void *, void *, int64_t, void *, void *, int64_t, int64_t,        \\
                 int64_t, int64_t);                                                        \\
    static void check_##NAME(void)                                                         \\
    {                                                                                      \\
        static int8_t data[DOWN][PIXELS * STEP + ACROSS * APART][16];                      \\
        static int8_t weights[DOWN][ACROSS][16];                                           \\
        static int8_t bytes[PIXELS + 1][16];                                               \\
        static int32_t bias[16], start[16];                                                \\
        static float factors[16];                                                          \\
        int wrong = 0, inside = 0;                                                         \\
        for (size_t i = 0; i < sizeof data; i++)                                           \\
            ((int8_t *)data)[i] = rand() % 3 ? -128 : rand();                              \\
        for (size_t i = 0; i < sizeof weights; i++)                                        \\
            ((int8_t *)weights)[i] = rand() % 3 ? -127 : rand() % 255 - 127;               \\
        for (int v = 0; v < 16; v++) {                                                     \\
            bias[v] = rand() % 20000 - 10000;                                              \\
            start[v] = bias[v] + (int32_t)bits(WHOLE + 3000000);                           \\
            factors[v] = v % 3 ? 0.03f / (1 << v % 12) : 0.0037f;                           \\
        }                                                                                  \\
        int64_t low = FLOATS ? bits(LOW - ZERO) : LOW;                                     \\
        int64_t high = FLOATS ? bits(HIGH - ZERO) : HIGH;                                  \\
        NAME(bytes, data, weights, sizeof data[0], start, factors, bits(WHOLE + 3000000),  \\
             bits(SHIFT), low, high);                                                      \\
        for (int p = 0; p <= PIXELS; p++)                                                  \\
            for (int v = 0; v < 16; v++) {                                                 \\
                int32_t sum = bias[v];                                                     \\
                for (int i = 0; p < PIXELS && i < DOWN * ACROSS; i++)                      \\
                    sum += data[i / ACROSS][p * STEP + i % ACROSS * APART][v] *            \\
                           weights[i / ACROSS][i % ACROSS][v];                             \\
                int8_t right = p < PIXELS ? stored(sum, factors[v], LOW, HIGH) : 0;        \\
                wrong += right != bytes[p][v];                                             \\
                inside += right != LOW && right != HIGH;                                   \\
            }                                                                              \\
        printf(#NAME ": %d wrong%s\\n", wrong, inside > 16 ? "" : ", all alike");           \\
    }
"""
BOUNDS = {
    Bounds.SATURATED: "-128, 127, 0",
    Bounds.BYTES: "-100, 90, 0",
    Bounds.FLOATS: "-100, 127, 1",
}


def test_a_tile_stores_what_rounding_and_bounds_make_of_sums(tmp_path: Path) -> None:
    arguments = {
        tap_kernel.name(one, bounds): f"{one.pixels}, {one.taps[0]}, {one.taps[1]}, {one.step}, "
        f"{one.apart}, {words}"
        for one in KERNELS
        for bounds, words in BOUNDS.items()
    }
    functions = [tap_kernel.function(one, bounds) for one in KERNELS for bounds in BOUNDS]
    headers = HARNESS.split("#define CHECK", maxsplit=1)[0]
    said = checked(headers + STORED, arguments, functions, tmp_path, cpu="cortex_a72")
    assert said == [f"{name}: 0 wrong" for name in arguments]
