# SPDX-License-Identifier: Apache-2.0
"""What a task learns from other networks' logs, and that a replay of recorded costs gains by it."""

from pathlib import Path

import pytest

from bench import search_replay
from bench.search_replay import Recorded
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.trial import Trial, trial_of
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.transfer import MOST, Transfer, of_other_logs
from mnc.targets import Target
from tests.compile import tuning_tasks

MEASURER = "local-v1 cpu=test threads=1"


@pytest.fixture(scope="module")
def target() -> Target:
    return tuning_tasks.host()


def tried(task: TunableTask, *, measurer: str = MEASURER) -> list[Trial]:
    """Every config of a task, with costs by a rule that a model can learn: long tiles are fast."""
    trials = []
    for index in tuning_tasks.indices(task, 10_000):
        config = task.task.config_space.get(index)
        knobs = {name: value for name, _, value in config.to_json_dict()["entity"]}
        good = knobs["tile_p"] * knobs["tile_oc"]
        cost = 1e-3 * (1 + 20 / good + 0.01 * (index % 7))
        trials.append(trial_of(task.task, config, costs=(cost,), measurer=measurer, verified=True))
    return trials


def test_the_most_similar_shapes_teach_first(target: Target) -> None:
    tasks = [
        tuning_tasks.pointwise_task(target, inputs=64, outputs=64, size=size) for size in (56, 14)
    ]
    other = tuning_tasks.depthwise_task(target, channels=64)
    transfer = Transfer([*tried(tasks[0]), *tried(tasks[1])])
    asked = tuning_tasks.pointwise_task(target, inputs=64, outputs=64, size=16)
    pairs = transfer.pairs(asked.task)
    assert 0 < len(pairs) <= MOST
    assert pairs[0][0].task.args == tasks[1].task.args
    assert transfer.pairs(other.task) == []
    assert Transfer().pairs(asked.task) == []


def test_trials_of_the_same_measurer_in_other_logs_are_read(tmp_path: Path, target: Target) -> None:
    task = tuning_tasks.pointwise_task(target)
    mine, theirs = tried(task)[:3], tried(task)[3:6]
    foreign = tried(task, measurer="local-v1 cpu=test threads=2")[:2]
    for name, trials in (("mine", mine), ("theirs", [*theirs, *foreign])):
        with TuningLog.open(tmp_path / f"{name}.jsonl", exclusive=True) as tuning_log:
            for trial in trials:
                tuning_log.append(trial)
    (tmp_path / "damaged.jsonl").mkdir()  # not even a file
    log = tmp_path / "mine.jsonl"
    assert of_other_logs(log, target.tvm_target(), MEASURER) == theirs
    elsewhere = target.tvm_target().replace("-model=", "-model=other-")
    assert of_other_logs(log, elsewhere, MEASURER) == []


def test_a_replay_is_repeatable_and_lessons_help_it_start(target: Target) -> None:
    tasks = [
        tuning_tasks.pointwise_task(target, inputs=128, outputs=outputs, size=28)
        for outputs in (128, 256)
    ]
    trials = [trial for task in tasks for trial in tried(task)]
    known = search_replay.recorded("log", trials, tasks[0].task.target)
    assert [one.task.key for one in known] == [task.key for task in tasks]
    one = known[0]
    taught = [
        search_replay.replay(one, known, way="transfer", budget=8, seed=seed) for seed in range(4)
    ]
    assert taught[1] == search_replay.replay(one, known, way="transfer", budget=8, seed=1)
    assert list(taught[1].reached) == sorted(taught[1].reached)
    blind = [
        search_replay.replay(one, known, way="random", budget=8, seed=seed) for seed in range(4)
    ]
    # One blind search may be lucky.
    assert sum(run.after(4) for run in taught) >= sum(run.after(4) for run in blind)
    assert all(run.after(4) > 0.97 for run in taught)
    whole = search_replay.replay(one, known, way="random", budget=10_000, seed=1)
    assert len(whole.reached) == len(one.trials) and whole.after(10_000) == 1.0


def test_a_task_that_is_hardly_covered_is_not_replayed(target: Target) -> None:
    task = tuning_tasks.pointwise_task(target, inputs=128, outputs=128, size=28)
    assert search_replay.recorded("log", tried(task)[:5], task.task.target) == []
    (found,) = search_replay.recorded("log", tried(task), task.task.target)
    assert isinstance(found, Recorded)
    assert found.best == min(trial.cost for trial in tried(task))
