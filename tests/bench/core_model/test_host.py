# SPDX-License-Identifier: Apache-2.0
"""The model against this machine: what the table says of known prices, and a small real run."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.core_model.host_pricing import PricedTiming, run
from bench.core_model.host_report import report, rows
from bench.core_model.host_timing import HostTiming
from bench.core_model.host_workloads import task_of
from mnc.support.errors import UserError
from mnc.targets import load


def priced(*pairs: tuple[float, float | None]) -> list[PricedTiming]:
    """Real and predicted seconds of configs of one workload."""
    return [
        PricedTiming(
            timing=HostTiming(workload="w", index=i, seconds=real, library="", arguments=()),
            seconds=guess,
        )
        for i, (real, guess) in enumerate(pairs)
    ]


def test_a_model_that_ranks_right_has_no_regret() -> None:
    (row,) = rows(priced((1.0, 3.0), (2.0, 6.0), (4.0, 12.0)))
    assert (row.count, row.spearman, row.regret, row.pairs_right) == (3, 1.0, 1.0, 1.0)
    assert row.scale == pytest.approx(3.0)
    assert row.met


def test_the_choice_is_the_models_and_its_time_is_real() -> None:
    (row,) = rows(priced((1.0, 5.0), (1.3, 2.0), (2.0, 6.0), (9.0, None)))
    assert (row.count, row.chosen) == (3, 1.3)
    assert row.regret == pytest.approx(1.3)
    assert not row.met
    assert "0 of 1 workloads meet both goals" in list(report([row]))[2]


def test_configs_that_two_timings_rank_differently_are_said_to_be_alike() -> None:
    noise = [(1.0, 1.02), (1.01, 1.0), (1.02, 1.01), (1.015, 1.005)]
    one_of_each = priced(*[(min(pair), 1.0 + i) for i, pair in enumerate(noise)])
    timed_twice = [
        replace(one, timing=replace(one.timing, halves=pair))
        for one, pair in zip(one_of_each, noise, strict=True)
    ]
    (row,) = rows(timed_twice)
    assert row.repeat is not None and row.repeat < 0.5
    assert not row.rankable
    assert "1 cannot be ranked" in list(report([row]))[3]
    (unknown,) = rows(one_of_each)
    assert unknown.repeat is None and unknown.rankable


def test_a_fused_pair_is_a_workload() -> None:
    task = task_of("fused 64->128 56/2", load("host"))
    assert task.kind == "fused"
    assert "56x56->28x28" in task.shape


def test_workloads_are_checked() -> None:
    with pytest.raises(UserError, match="no workload 'dense 5'"):
        task_of("dense 5", load("host"))


@pytest.mark.slow
def test_timed_once_and_priced_alike_every_time(tmp_path: Path) -> None:
    workloads = ("depthwise 64 14",)
    first = run(tmp_path, workloads, count=4, jobs=1)
    assert len(first) == 4
    assert all(one.seconds is not None and one.timing.seconds > 0 for one in first)
    for timing in (one.timing for one in first):
        assert timing.halves is not None and min(timing.halves) == timing.seconds
    again = run(tmp_path, workloads, count=4, jobs=2)
    assert again == first
