# SPDX-License-Identifier: Apache-2.0
"""The assembly of AArch64's depthwise tiles of bytes, run by qemu: it sums what plain loops sum."""

from pathlib import Path

from mnc.compile.templates import tap_assembly, tap_kernel
from mnc.compile.templates.tap_assembly import Kernel
from tests.compile.templates.tap_harness import check_bytes, check_sums

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


def _sizes(kernel: Kernel) -> str:
    down, across = kernel.taps
    return f"1, {kernel.pixels}, {down}, {across}, 1, {kernel.step}, {kernel.apart}"


SIZES = {one: _sizes(one) for one in KERNELS}


def test_a_tile_s_sums_are_those_of_plain_loops(tmp_path: Path) -> None:
    check_sums(tap_kernel, SIZES, tmp_path, cpu="cortex_a72")


def test_a_tile_stores_what_rounding_and_bounds_make_of_sums(tmp_path: Path) -> None:
    check_bytes(tap_kernel, SIZES, tmp_path, cpu="cortex_a72")
