# SPDX-License-Identifier: Apache-2.0
"""Code for AArch64 keeps a register tile in registers: what the target string asks of LLVM takes effect."""

from typing import Any

import pytest
import tvm

from mnc.compile.frontend import tasks
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.measure import compile_worker
from mnc.compile.measure.messages import spec_of
from mnc.compile.measure.simulate_worker import kernel_of
from mnc.compile.simulator.simulate import simulate
from mnc.compile.templates import direct
from mnc.targets import load
from mnc.targets.target import LOADS_APART
from tests.compile.templates.workloads import convolution

FULL = {"tile_oc": 2, "tile_ow": 14, "unroll": 1}  # 28 accumulators of 32 registers
TILES = 14 * 14 // 14 * 16 // 2


def spills(task: TunableTask, name: str) -> int:
    """Loads and stores of the stack in one call of the kernel with the config FULL."""
    space = task.task.config_space
    valid = (space.get(i) for i in range(space.range_length) if space.is_index_valid(i))
    config = next(c for c in valid if all(c[knob].val == value for knob, value in FULL.items()))
    kernel = kernel_of(*compile_worker.build(spec_of(task), config.to_json_dict()))
    found = simulate(kernel, load(name), threads=1, state="cold")
    return found.spill_loads + found.spill_stores


@pytest.mark.parametrize("name", ["rk3399", "rpi5"])
def test_a_tile_that_fills_the_registers_of_aarch64_does_not_spill(name: str) -> None:
    shapes = (1, 16, 14, 14, 4), (16, 16, 3, 3, 4, 4)
    ours = convolution(direct.NAME, *shapes, pad=(1, 1, 1, 1), target=load(name).tvm_target())
    text = str(ours.task.target)
    assert LOADS_APART in text
    bare: Any = tvm.target.Target(text.replace(f"-cl-opt={LOADS_APART} ", ""))
    plain = tasks.from_workload(ours.task.name, ours.task.args, bare, calls=1)
    assert spills(plain, name) > 20 * TILES  # else LLVM has learnt, and the option can go
    assert spills(ours, name) < TILES
