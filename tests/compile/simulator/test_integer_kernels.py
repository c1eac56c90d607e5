# SPDX-License-Identifier: Apache-2.0
"""Whole kernels on bytes come near the bound that a core's guide puts on them, and never below it."""

from pathlib import Path

import pytest

from mnc.compile.simulator.simulate import Kernel, simulate
from mnc.targets import load
from tests.compile.simulator.aarch64_kernels import compiled
from tests.compile.simulator.integer_kernels import sdot_pointwise

CHANNELS, PIXELS = 512, 14 * 14
PRODUCTS = CHANNELS * CHANNELS * PIXELS


@pytest.mark.parametrize(
    ("target", "bound", "reached"), [("rpi5", 32, 0.95), ("cortex_a55", 16, 0.5)]
)
def test_dot_products_of_a_register_tile(
    target: str, bound: int, reached: float, tmp_path: Path
) -> None:
    """Of 16 bytes: two a cycle on the A76, one on the A55, whose loads take turns with them."""
    on = load(target)
    kernel = sdot_pointwise(on, tmp_path, channels=CHANNELS, pixels=PIXELS, tile=(2, 7))
    found = simulate(kernel, on)
    assert found.flops == 2 * PRODUCTS
    assert reached * bound < PRODUCTS / found.cycles < bound


@pytest.mark.parametrize(
    ("target", "bound", "reached"), [("rpi4", 8, 0.55), ("rpi5", 8, 0.95), ("rpi3b", 16 / 3, 0.5)]
)
def test_widening_products_and_pairwise_sums(
    target: str, bound: float, reached: float, tmp_path: Path
) -> None:
    """16 products and their sum: two cycles of the one pipe of an A72 or A76 for products, three of the A53's
    two, which waits for each sum in order.
    """
    kernel = Kernel(
        compiled(tmp_path, _PAIRWISE).code,
        (
            ((PIXELS, CHANNELS), "int8", False),
            ((CHANNELS, CHANNELS), "int8", False),
            ((CHANNELS, PIXELS, 4), "int32", True),
        ),
    )
    found = simulate(kernel, load(target))
    assert found.flops == 2 * PRODUCTS
    assert reached * bound < PRODUCTS / found.cycles < bound


_PAIRWISE = """
    const int8_t *data = *(int8_t **)((void **)args)[0], *weights = *(int8_t **)((void **)args)[1];
    int32_t *out = *(int32_t **)((void **)args)[2];
    for (int o = 0; o < 512; o += 4)
        for (int p = 0; p < 196; p += 2) {
            const int8_t *w = weights + 512 * o, *d = data + 512 * p;
            int32x4_t s[8] = {0};
            for (int k = 0; k < 512; k += 16)
    #pragma unroll
                for (int at = 0; at < 8; at++) {
                    int8x16_t a = vld1q_s8(w + 512 * (at / 2) + k), b = vld1q_s8(d + 512 * (at % 2) + k);
                    int16x8_t two = vmull_s8(vget_low_s8(a), vget_low_s8(b));
                    s[at] = vpadalq_s16(s[at], vmlal_high_s8(two, a, b));
                }
    #pragma unroll
            for (int at = 0; at < 8; at++) vst1q_s32(out + 4 * (196 * (o + at / 2) + p + at % 2), s[at]);
        }
    return 0;
"""
