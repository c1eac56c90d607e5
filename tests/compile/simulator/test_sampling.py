# SPDX-License-Identifier: Apache-2.0
"""A long kernel is timed in part: all of it is counted, and the cost is what timing all of it gives."""

from pathlib import Path

import pytest

from mnc.compile.simulator import machine as machines
from mnc.compile.simulator import program
from mnc.compile.simulator.kernel import Simulation
from mnc.compile.simulator.loader import image as images
from mnc.compile.simulator.simulate import TIMED, WINDOW, Kernel, simulate
from mnc.targets import load
from tests.compile.simulator import aarch64_kernels
from tests.compile.simulator.aarch64_kernels import compiled

TARGET = load("rk3399")
# Reads and writes memory, then calculates in L1, over and over: neither may weigh more than its share.
PHASES = """
    float *data = *(float **)args[0];
    for (int again = 0; again < 12; again++) {
        for (int i = 0; i < 1 << 18; i += 4) ((volatile float *)data)[i] = 1;
        float sum = 0;
        for (int i = 0; i < 100000; i++) sum += ((volatile float *)data)[i & 1023];
        data[1] = sum;
    }
    return 0;
"""


def both(kernel: Kernel, **options: str) -> tuple[Simulation, Simulation]:
    sampled, exact = (
        simulate(kernel, TARGET, exact=whole, **options)  # type: ignore[arg-type]
        for whole in (False, True)
    )
    assert exact.instructions > 2 * TIMED
    assert (sampled.instructions, sampled.flops) == (exact.instructions, exact.flops)
    assert (sampled.loads, sampled.stores) == (exact.loads, exact.stores)
    assert sampled.cycles != exact.cycles  # or nothing was left out
    return sampled, exact


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("state", ["warm", "cold"])
def test_pointwise_within_four_percent(seed: int, state: str, tmp_path: Path) -> None:
    workload = aarch64_kernels.pointwise_of(128, 28)
    sampled, exact = both(aarch64_kernels.build(workload, TARGET, seed, tmp_path), state=state)
    assert sampled.cycles == pytest.approx(exact.cycles, rel=0.04)
    listed = {one.line.address: one for one in exact.listing}
    for one in sampled.listing:
        assert one.count == listed[one.line.address].count


def test_phases_keep_their_weight(tmp_path: Path) -> None:
    arguments = (((1 << 18,), "float32", True),)
    kernel = Kernel(compiled(tmp_path, PHASES).code, arguments)
    sampled, exact = both(kernel)
    assert sampled.cycles == pytest.approx(exact.cycles, rel=0.04)
    for (cause, ours), (_, theirs) in zip(sampled.causes, exact.causes, strict=True):
        assert ours == pytest.approx(theirs, abs=0.05 * exact.cycles), cause


def test_gaps_leave_out_most(tmp_path: Path) -> None:
    kernel = Kernel(compiled(tmp_path, PHASES).code, (((1 << 18,), "float32", True),))
    image = images.build(kernel.code, kernel.arguments)
    code = program.decode(image)
    with machines.load(image, code, kernel, TARGET, 1) as machine:
        machine.time(window=WINDOW, gap=9 * WINDOW)
        untimed, timed = machine.counts()
    assert 0.05 < timed.sum() / (timed + untimed).sum() < 0.2
