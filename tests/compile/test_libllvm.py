# SPDX-License-Identifier: Apache-2.0
"""LLVM's options hold while code for AArch64 is written, and no longer."""

from pathlib import Path

import pytest

from compile import linking
from compile.bench_fleet import pointwise
from compile.measure import compiling
from compile.measure.local import spec_of
from compile.measure.messages import Argument
from compile.simulator.simulate import Kernel, simulate
from targets import Target, load


def spills(path: Path, arguments: tuple[Argument, ...], target: Target) -> int:
    """Loads and stores of the stack in one call of the kernel."""
    shapes = tuple((one.shape, one.dtype, one.is_output) for one in arguments)
    found = simulate(Kernel(path.read_bytes(), shapes), target, threads=1, state="cold")
    return found.spill_loads + found.spill_stores


@pytest.mark.parametrize("name", ["rk3399", "cortex_a55"])
def test_a_tile_that_fills_the_registers_of_aarch64_does_not_spill(
    name: str, tmp_path: Path
) -> None:
    target, wanted = load(name), {"tile_oc": 2, "tile_p": 14, "unroll": 4, "block_k": 0}
    task = pointwise(target, 64, 64, 14)
    space = task.task.config_space
    valid = (space.get(i) for i in range(space.range_length) if space.is_index_valid(i))
    config = next(c for c in valid if all(c[knob].val == v for knob, v in wanted.items()))
    module, arguments = compiling.build(spec_of(task), config.to_json_dict())
    before, ours, after = (tmp_path / f"{name}.o" for name in ("before", "ours", "after"))
    module.save(str(before))
    linking.save_object(module, ours)
    module.save(str(after))
    tile = 14 * 14 // 14 * 16 // 2  # register tiles
    assert spills(before, arguments, target) > 20 * tile  # else LLVM has learnt, and we may forget
    assert spills(ours, arguments, target) < tile
    assert after.read_bytes() == before.read_bytes()
