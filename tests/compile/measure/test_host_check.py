# SPDX-License-Identifier: Apache-2.0
"""A schedule for a core that is not here is compiled for this machine, run, and found right or wrong."""

from collections.abc import Iterator

import pytest

from mnc.compile.measure.host_check import HostCheck
from mnc.compile.measure.messages import spec_of
from mnc.targets import load
from tests.compile import faulty_template, tuning_tasks


@pytest.fixture(scope="module")
def check() -> Iterator[HostCheck]:
    """One for all, as a tune has."""
    made = HostCheck()
    yield made
    made.close()


@pytest.mark.parametrize("name", ["rk3399", "rpi3b", "armv7"])
def test_a_right_kernel_passes(check: HostCheck, name: str) -> None:
    task = tuning_tasks.depthwise_task(load(name), channels=16, size=7)
    config = task.task.config_space.get(tuning_tasks.indices(task, 1)[0])
    assert check.wrong(spec_of(task), config.to_json_dict()) is None


def test_a_pair_whose_kernel_and_taps_have_one_shape_passes_unless_it_swaps_them() -> None:
    task = tuning_tasks.fused_task(load("rk3399"))
    config = task.task.config_space.get(tuning_tasks.indices(task, 1)[0]).to_json_dict()
    for templates, said in (((), None), ((tuning_tasks.SWAPPED,), "wrong")):
        one = HostCheck()
        try:
            found = one.wrong(spec_of(task, templates=templates), config)
        finally:
            one.close()
        assert (None if found is None else found[0]) == said


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("none", None),
        ("wrong", "wrong"),
        ("unwritten", "wrong"),
        ("segfault", "crash"),
        ("refused", "compile"),
    ],
)
def test_a_faulty_one_is_found(check: HostCheck, fault: str, said: str | None) -> None:
    task = tuning_tasks.faulty_task(load("rk3399"))
    config = task.task.config_space.get(faulty_template.FAULTS.index(fault))
    spec = spec_of(task, templates=(faulty_template.MODULE,))
    found = check.wrong(spec, config.to_json_dict())
    assert (None if found is None else found[0]) == said
