# SPDX-License-Identifier: Apache-2.0
"""Tiles of depthwise convolutions of bytes in assembly, run by qemu beside plain loops.

Takes functions in LLVM's IR, `ROWS` x `PIXELS` outputs each; gives what a C program says of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnc.compile.templates.stored_sums import Bounds
from tests.compile.templates.assembly_run import checked

# Of numbers and weights as large as can be.
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#define CHECK(NAME, ROWS, PIXELS, DOWN, ACROSS, STEPS, STEP, APART)                        \\
    int32_t NAME(void *, void *, void *, int64_t);                                         \\
    static void check_##NAME(void)                                                         \\
    {                                                                                      \\
        static int8_t data[ROWS * STEPS + DOWN][PIXELS * STEP + ACROSS * APART][16];       \\
        static int8_t weights[DOWN][ACROSS][16];                                           \\
        static int32_t sums[ROWS * PIXELS + 1][16];                                        \\
        int wrong = 0;                                                                     \\
        for (size_t i = 0; i < sizeof data; i++)                                           \\
            ((int8_t *)data)[i] = rand() % 3 ? -128 : rand();                              \\
        for (size_t i = 0; i < sizeof weights; i++)                                        \\
            ((int8_t *)weights)[i] = rand() % 3 ? -127 : rand() % 255 - 127;               \\
        NAME(sums, data, weights, sizeof data[0]);                                         \\
        for (int p = 0; p <= ROWS * PIXELS; p++)                                           \\
            for (int v = 0; v < 16; v++) {                                                 \\
                int32_t sum = 0;                                                           \\
                for (int i = 0; p < ROWS * PIXELS && i < DOWN * ACROSS; i++)               \\
                    sum += data[p / PIXELS * STEPS + i / ACROSS]                           \\
                               [p % PIXELS * STEP + i % ACROSS * APART][v] *               \\
                           weights[i / ACROSS][i % ACROSS][v];                             \\
                wrong += sum != sums[p][v];                                                \\
            }                                                                              \\
        printf(#NAME ": %d wrong\\n", wrong);                                              \\
    }
"""
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
#define CHECK(NAME, ROWS, PIXELS, DOWN, ACROSS, STEPS, STEP, APART, LOW, HIGH, FLOATS)     \\
    int32_t NAME(void *, void *, void *, int64_t, void *, void *, int64_t, int64_t,        \\
                 int64_t, int64_t);                                                        \\
    static void check_##NAME(void)                                                         \\
    {                                                                                      \\
        static int8_t data[ROWS * STEPS + DOWN][PIXELS * STEP + ACROSS * APART][16];       \\
        static int8_t weights[DOWN][ACROSS][16];                                           \\
        static int8_t bytes[ROWS * PIXELS + 1][16];                                        \\
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
            factors[v] = v % 3 ? 0.03f / (1 << v % 12) : 0.0037f;                          \\
        }                                                                                  \\
        int64_t low = FLOATS ? bits(LOW - ZERO) : LOW;                                     \\
        int64_t high = FLOATS ? bits(HIGH - ZERO) : HIGH;                                  \\
        NAME(bytes, data, weights, sizeof data[0], start, factors, bits(WHOLE + 3000000),  \\
             bits(SHIFT), low, high);                                                      \\
        for (int p = 0; p <= ROWS * PIXELS; p++)                                           \\
            for (int v = 0; v < 16; v++) {                                                 \\
                int32_t sum = bias[v];                                                     \\
                for (int i = 0; p < ROWS * PIXELS && i < DOWN * ACROSS; i++)               \\
                    sum += data[p / PIXELS * STEPS + i / ACROSS]                           \\
                               [p % PIXELS * STEP + i % ACROSS * APART][v] *               \\
                           weights[i / ACROSS][i % ACROSS][v];                             \\
                int8_t right = p < ROWS * PIXELS ? stored(sum, factors[v], LOW, HIGH) : 0; \\
                wrong += right != bytes[p][v];                                             \\
                inside += right != LOW && right != HIGH;                                   \\
            }                                                                              \\
        printf(#NAME ": %d wrong%s\\n", wrong, inside > 16 ? "" : ", all alike");          \\
    }
"""
BOUNDS = {
    Bounds.SATURATED: "-128, 127, 0",
    Bounds.BYTES: "-100, 90, 0",
    Bounds.FLOATS: "-100, 127, 1",
}


def check_sums(made: Any, sizes: Mapping[Any, str], folder: Path, *, cpu: str) -> None:
    """That functions which module `made` makes of these kernels, each with its arguments of CHECK, give the
    sums of plain loops.
    """
    arguments = {made.name(one): size for one, size in sizes.items()}
    said = checked(HARNESS, arguments, [made.function(one) for one in sizes], folder, cpu=cpu)
    assert said == [f"{name}: 0 wrong" for name in arguments]


def check_bytes(made: Any, sizes: Mapping[Any, str], folder: Path, *, cpu: str) -> None:
    """As `check_sums`, of functions that store bytes, within each of BOUNDS."""
    kinds = [(one, bounds) for one in sizes for bounds in BOUNDS]
    arguments = {made.name(*kind): f"{sizes[kind[0]]}, {BOUNDS[kind[1]]}" for kind in kinds}
    headers = HARNESS.split("#define CHECK", maxsplit=1)[0]
    functions = [made.function(*kind) for kind in kinds]
    said = checked(headers + STORED, arguments, functions, folder, cpu=cpu)
    assert said == [f"{name}: 0 wrong" for name in arguments]
