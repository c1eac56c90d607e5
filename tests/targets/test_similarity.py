# SPDX-License-Identifier: Apache-2.0
"""Which CPUs are near one another: what kernels are cut for counts, not the name."""

import math

import pytest

from mnc.targets import load
from mnc.targets.similarity import distance


def target_string(
    cpu: str, triple: str = "aarch64-linux-gnu", model: str = "somebodys-board"
) -> str:
    return f"llvm -keys=cpu -mcpu={cpu} -model={model} -mtriple={triple} -num-cores=1"


@pytest.mark.parametrize(
    ("board", "near", "far"),
    [
        ("rpi4", "cortex-a73", "cortex-a53"),  # out of order
        ("cortex_a55", "cortex-a53", "cortex-a76"),
        ("rpi5", "neoverse-n1", "cortex-a72"),  # two multiply-adds a cycle
    ],
)
def test_a_core_that_executes_alike_is_nearer(board: str, near: str, far: str) -> None:
    target = load(board)
    assert distance(target, target_string(near)) < distance(target, target_string(far))


def test_a_core_of_the_same_vectors_is_nearer_on_x86() -> None:
    wide, narrow = (sum_of_distances(cpu, "sapphirerapids") for cpu in ("znver4", "znver3"))
    assert wide < narrow


def sum_of_distances(one: str, other: str) -> float:
    from mnc.targets.similarity import _distance, _of_string

    texts = (target_string(cpu, "x86_64-linux-gnu") for cpu in (one, other))
    return _distance(*map(_of_string, texts))


def test_a_board_is_nearest_to_itself_and_another_architecture_is_out_of_reach() -> None:
    rpi4 = load("rpi4")
    assert distance(rpi4, rpi4.tvm_target()) == 0
    assert distance(rpi4, load("rpi3b").tvm_target()) > distance(rpi4, load("rk3399").tvm_target())
    assert math.isinf(distance(rpi4, target_string("znver4", "x86_64-linux-gnu")))
    assert math.isinf(distance(rpi4, load("armv7").tvm_target()))
    assert math.isinf(distance(rpi4, "llvm"))


def test_an_unknown_core_is_taken_for_an_average_one() -> None:
    assert 0 < distance(load("rpi4"), target_string("cortex-z99")) < 4
