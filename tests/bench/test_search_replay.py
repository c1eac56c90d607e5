# SPDX-License-Identifier: Apache-2.0
"""Searches played again on recorded costs are repeatable, and gain by what other tasks taught."""

from bench import search_replay
from bench.search_replay import Recorded
from tests.compile import tuning_tasks
from tests.compile.tuning_tasks import tried


def test_a_replay_is_repeatable_and_transfer_helps_it_start() -> None:
    target = tuning_tasks.host()
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


def test_a_task_that_is_hardly_covered_is_not_replayed() -> None:
    target = tuning_tasks.host()
    task = tuning_tasks.pointwise_task(target, inputs=128, outputs=128, size=28)
    assert search_replay.recorded("log", tried(task)[:5], task.task.target) == []
    (found,) = search_replay.recorded("log", tried(task), task.task.target)
    assert isinstance(found, Recorded)
    assert found.best == min(trial.cost for trial in tried(task))
