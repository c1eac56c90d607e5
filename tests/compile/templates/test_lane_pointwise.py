# SPDX-License-Identifier: Apache-2.0
"""Knobs of AArch64's pointwise tiles: an untuned build has a config of every layer's space."""

import pytest

from mnc.compile.tuning.search import default_config
from mnc.targets import load
from tests.compile import tuning_tasks


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 14, 56])
@pytest.mark.parametrize("channels", [(32, 32), (16, 4), (20, 40)])
@pytest.mark.parametrize("target", ["rpi4", "rpi3b"])
def test_the_default_is_a_point_of_the_space(
    target: str, channels: tuple[int, int], size: int
) -> None:
    inputs, outputs = channels
    task = tuning_tasks.pointwise_task(load(target), inputs=inputs, outputs=outputs, size=size)
    assert default_config(task.task) is not None
