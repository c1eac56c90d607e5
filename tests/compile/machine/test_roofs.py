# SPDX-License-Identifier: Apache-2.0
"""What a device can do at most, and the time that work takes at least under it."""

import msgspec
import pytest

from mnc.compile.machine.roofs import Roof, of_target
from mnc.targets import load


def test_the_bound_is_arithmetic_or_memory_as_far_as_each_level_reaches() -> None:
    roof = Roof(
        gflops=100.0,
        bandwidths={"L1": 400.0, "L2": 150.0, "DRAM": 15.0},
        capacities={"L1": 32 << 10, "L2": 1 << 20},
        threads=1,
        origin="a test",
    )
    assert roof.bound(50_000_000, 1000) == pytest.approx(1e-3)  # 0.1 GFLOP at 100 GFLOP/s
    assert roof.bound(0, 20_000) == pytest.approx(20e3 / 400e9)
    inner, middle = 32 << 10, (1 << 20) - (32 << 10)
    assert roof.bound(0, inner + 9000) == pytest.approx(inner / 400e9 + 9e3 / 150e9)
    held = inner / 400e9 + middle / 150e9
    assert roof.bound(0, (1 << 20) + 15_000_000) == pytest.approx(held + 1e-3)


def test_a_target_file_gives_a_roof_and_says_so() -> None:
    roof = of_target(load("rpi4"), threads=1)
    assert roof is not None and roof.gflops == 12.0 and "not measured" in roof.origin
    fast = msgspec.structs.replace(load("rpi4").fast, clock_ghz=None)
    clockless = msgspec.structs.replace(load("rpi4"), cores=(fast,))
    assert roof.bandwidths["L1"] > roof.bandwidths["L2"] > roof.bandwidths["DRAM"] == 4.5
    assert of_target(clockless, threads=1) is None
