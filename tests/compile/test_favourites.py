# SPDX-License-Identifier: Apache-2.0
"""What others found best is tried first; what is stale, failed or emulated is not."""

from pathlib import Path

import msgspec

from compile.favourites import favourites
from compile.journal import Journal
from compile.measure.simulated import Options, SimulatedMeasurer
from compile.search import Search, default_config
from compile.trial import Trial, trial_of
from compile.tuner import Options as Tuning
from compile.tuner import tune
from targets import load
from tests.compile import tuning_tasks

BOARD = load("rk3399")


def tried(task: object, index: int, cost: float, **changes: object) -> Trial:
    inner = getattr(task, "task")  # noqa: B009
    made = trial_of(inner, inner.config_space.get(index), costs=(cost,), measurer="simulated old")
    return msgspec.structs.replace(made, **changes)


def test_the_best_of_the_measurer_used_last_come_first() -> None:
    task = tuning_tasks.pointwise_task(BOARD, inputs=32, outputs=32, size=7)
    a, b, c, d = tuning_tasks.indices(task, 4)
    stale = msgspec.structs.replace(tried(task, b, 1e-9).config, entity=msgspec.Raw(b"[]"))
    trials = [
        tried(task, a, 3e-3, when=2.0),
        tried(task, b, 1e-3, when=2.0),
        tried(task, c, 1e-9, measurer="rpc-v1", when=1.0),
        tried(task, d, 1e-9, error="wrong", costs=()),
        tried(task, d, 1e-9, config=stale, when=2.0),
        tried(task, d, 1e-9, measurer="emulated rpc", when=9.0),
    ]
    assert [config.index for config in favourites(task.task, trials)] == [b, a]
    assert favourites(task.task, []) == []
    first = favourites(task.task, trials)
    asked = Search(task.task, tuner="random", first=[*first, *first]).ask(4)
    default = default_config(task.task)
    assert len({config.index for config in asked}) == 4
    assert {a, b, default.index} <= {config.index for config in asked[:3]} | {default.index}


def test_a_small_budget_reaches_every_task(tmp_path: Path) -> None:
    tasks = [tuning_tasks.pointwise_task(BOARD, inputs=16, outputs=16, size=s) for s in (4, 5, 7)]
    options = Options(workers=1, verify=False)
    with (
        SimulatedMeasurer(BOARD, options=options) as measurer,
        Journal.open(tmp_path / "log", exclusive=True) as journal,
    ):
        summary = tune(tasks, BOARD, journal, measurer, options=Tuning(trials=12, tuner="random"))
    assert [task.trials for task in summary.tasks] == [4, 4, 4]
