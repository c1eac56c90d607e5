# SPDX-License-Identifier: Apache-2.0
"""Costs by the core model: the same in any process, checked before they may be built with, resumable."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnc.compile.measure.options import SimulationOptions
from mnc.compile.measure.simulated import (
    SimulatedMeasurer,
    check_simulable,
    describe,
)
from mnc.compile.records.ranking import best
from mnc.compile.records.trial import Trial
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.options import SearchOptions
from mnc.compile.tuning.tuner import tune
from mnc.support.errors import UserError
from mnc.targets import Target, load
from tests.compile import faulty_template, tuning_tasks

CORES = ("rk3399", "rpi3b", "host")


@pytest.fixture(scope="module")
def board() -> Target:
    return load("rk3399")


@pytest.fixture(scope="module")
def measurer(board: Target) -> Iterator[SimulatedMeasurer]:
    """One worker, templates that fail included."""
    options = SimulationOptions(workers=1, templates=(faulty_template.MODULE,))
    with SimulatedMeasurer(board, options=options) as made:
        yield made


def measured(measurer: SimulatedMeasurer, target: Target, count: int) -> list[Trial]:
    task = tuning_tasks.pointwise_task(target, inputs=32, outputs=32, size=7)
    configs = [task.task.config_space.get(i) for i in tuning_tasks.indices(task, count)]
    return list(measurer.measure(task, configs))


def test_the_best_of_a_batch_is_checked_and_may_be_built_with(
    board: Target, measurer: SimulatedMeasurer
) -> None:
    trials = measured(measurer, board, 6)
    assert len({trial.config.index for trial in trials}) == 6
    cheapest = min(trials, key=lambda trial: trial.cost)
    assert [trial for trial in trials if trial.verified] == [cheapest]
    assert best(trials, cheapest.key) == cheapest
    for trial in trials:
        assert trial.simulated and trial.threads == board.fast.count and trial.error is None
        assert 1e-6 < trial.cost < 1e-2


@pytest.mark.parametrize("name", CORES)
def test_another_process_gives_the_same_cost_bit_for_bit(name: str) -> None:
    target = load(name)
    costs = []
    for _ in range(2):
        options = SimulationOptions(workers=1, threads=1, verify=False)
        with SimulatedMeasurer(target, options=options) as one:
            costs.append({t.config.index: t.costs for t in measured(one, target, 3)})
    assert costs[0] == costs[1] and all(len(cost) == 1 for cost in costs[0].values())


def test_a_wrong_candidate_is_found_before_it_counts(
    board: Target, measurer: SimulatedMeasurer
) -> None:
    task = tuning_tasks.faulty_task(board)
    wanted = ("none", "wrong", "unwritten", "refused", "compiler dies")
    order = [faulty_template.FAULTS.index(fault) for fault in wanted]
    trials = {
        wanted[order.index(trial.config.index)]: trial
        for trial in measurer.measure(task, [task.task.config_space.get(i) for i in order])
    }
    assert trials["refused"].error == trials["compiler dies"].error == "compile"
    right = best(trials.values(), task.key)
    assert right is not None and right == trials["none"]
    for fault in ("wrong", "unwritten"):  # found out, or too slow to matter
        trial = trials[fault]
        assert trial.error == "wrong" or (trial.cost >= right.cost and not trial.verified)


def test_an_integer_kernel_s_cost_is_checked_and_named_by_all_prices() -> None:
    target = load("rpi5")
    task = tuning_tasks.integer_task(target)
    options = SimulationOptions(workers=1, precision="int8")
    with SimulatedMeasurer(target, options=options) as one:
        config = task.task.config_space.get(tuning_tasks.indices(task, 1)[0])
        (trial,) = one.measure(task, [config])
    assert trial.error is None and trial.verified and 1e-6 < trial.cost < 1e-2
    assert trial.measurer == describe(target, threads=4, precision="int8")
    assert trial.measurer != describe(target, threads=4)


def test_tuning_resumes_without_simulating_twice(
    tmp_path: Path, board: Target, measurer: SimulatedMeasurer
) -> None:
    task = tuning_tasks.pointwise_task(board, size=7)
    for budget, made in ((8, 8), (8, 0), (12, 4)):
        with TuningLog.open(
            tmp_path / "log", exclusive=True, target=board.tvm_target()
        ) as tuning_log:
            options = SearchOptions(trials=budget, tuner="random", floor=4)
            assert tune([task], board, tuning_log, measurer, options=options).trials == made
    trials = TuningLog.open(tmp_path / "log", exclusive=False).trials
    found = best(trials, task.key)
    assert found is not None and found.cost == min(trial.cost for trial in trials)


def test_the_name_follows_the_core_s_description(board: Target) -> None:
    import msgspec

    core = msgspec.structs.replace(board.fast, misses_in_flight=board.fast.misses_in_flight + 1)
    changed = msgspec.structs.replace(board, cores=(core, *board.cores[1:]))
    names = [describe(one, threads=2) for one in (board, changed)]
    assert names[0].startswith("simulated v") and names[0] != names[1]
    assert describe(board, threads=1) != names[0]


def test_threads_must_fit(board: Target) -> None:
    with pytest.raises(UserError, match="give 1 to 2"):
        check_simulable(board, threads=3)
    assert math.isfinite(board.fast.clock_ghz or math.inf)
