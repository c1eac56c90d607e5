# SPDX-License-Identifier: Apache-2.0
"""The assembly of depthwise rows of bytes by `sdot`, run by qemu: it sums what plain loops sum."""

from pathlib import Path

from mnc.compile.templates import dot_kernel
from mnc.compile.templates.dot_assembly import Kernel
from tests.compile.templates.tap_harness import check_bytes, check_sums

# One row and several, one pixel, an odd number; strides of both kinds; fewer taps, more.
KERNELS = [
    Kernel(rows, pixels, taps, steps)
    for rows, pixels, taps, steps in [
        (7, 7, (3, 3), (1, 1)),
        (1, 28, (3, 3), (2, 2)),
        (3, 5, (3, 3), (2, 2)),
        (2, 1, (3, 3), (1, 1)),
        (1, 63, (3, 3), (1, 1)),
        (2, 3, (4, 2), (1, 2)),
        (2, 4, (4, 3), (3, 1)),
        (2, 2, (3, 1), (2, 3)),
    ]
]


def _sizes(kernel: Kernel) -> str:
    down, across = kernel.taps
    return ", ".join(
        map(str, (kernel.rows, kernel.pixels, down, across, kernel.steps[0], kernel.steps[1], 1))
    )


SIZES = {one: _sizes(one) for one in KERNELS}


def test_a_tile_s_sums_are_those_of_plain_loops(tmp_path: Path) -> None:
    check_sums(dot_kernel, SIZES, tmp_path, cpu="cortex_a76")


def test_a_tile_stores_what_rounding_and_bounds_make_of_sums(tmp_path: Path) -> None:
    check_bytes(dot_kernel, SIZES, tmp_path, cpu="cortex_a76")
