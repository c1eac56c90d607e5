# SPDX-License-Identifier: Apache-2.0
"""The assembly of depthwise rows of bytes by `sdot`, run by qemu: it sums what plain loops sum."""

from pathlib import Path

from mnc.compile.templates import dot_kernel
from mnc.compile.templates.dot_assembly import Kernel
from tests.compile.templates.tap_harness import BOUNDS, wrong_bytes, wrong_sums

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


def test_a_tile_s_sums_are_those_of_plain_loops(tmp_path: Path) -> None:
    sizes = {dot_kernel.name(one): _sizes(one) for one in KERNELS}
    functions = [dot_kernel.function(one) for one in KERNELS]
    said = wrong_sums(sizes, functions, tmp_path, cpu="cortex_a76")
    assert said == [f"{name}: 0 wrong" for name in sizes]


def test_a_tile_stores_what_rounding_and_bounds_make_of_sums(tmp_path: Path) -> None:
    sizes = {
        dot_kernel.name(one, bounds): f"{_sizes(one)}, {words}"
        for one in KERNELS
        for bounds, words in BOUNDS.items()
    }
    functions = [dot_kernel.function(one, bounds) for one in KERNELS for bounds in BOUNDS]
    said = wrong_bytes(sizes, functions, tmp_path, cpu="cortex_a76")
    assert said == [f"{name}: 0 wrong" for name in sizes]
