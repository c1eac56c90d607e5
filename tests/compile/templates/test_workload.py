# SPDX-License-Identifier: Apache-2.0
"""What a task's key tells of the work, and that a key of another make is known for one."""

import pytest

from mnc.compile.templates import workload
from mnc.compile.templates.workload import convolutions
from tests.compile.templates.workloads import CASES


@pytest.mark.parametrize("name", CASES)
def test_a_key_tells_what_its_task_computes(name: str) -> None:
    case = CASES[name]
    parts = workload.parse(case.key)
    assert parts == convolutions(case.task.name, case.task.args)
    assert sum(part.macs for part in parts) == case.macs


def test_traffic_leaves_out_what_stays_in_the_cache() -> None:
    parts = workload.parse(CASES["fused without padding"].key)
    data, kernel, taps, output = 9 * 9 * 8, 2 * 64, 2 * 9 * 8, 2 * 7 * 7 * 8
    assert workload.traffic(parts) == 4 * (data + kernel + taps + output)


KEY = CASES["depthwise 3x3/2 SAME"].key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a name",
        "name[",
        "name[1,2]",
        KEY[:-1],
        KEY + "]",
        KEY.replace("12,12", "12,-12"),
        KEY.replace("12,12", "1,1"),  # less than the kernel
        KEY.replace("[2,2],", "[0,2],"),
        KEY.replace("TENSOR", "OTHER"),
        "[" * 100_000,
    ],
)
def test_a_key_of_another_make_is_a_value_error(key: str) -> None:
    assert key != KEY
    with pytest.raises(ValueError, match="no key of a task"):
        workload.parse(key)
