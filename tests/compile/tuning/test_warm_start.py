# SPDX-License-Identifier: Apache-2.0
"""What others found best is tried first; what is stale, failed or emulated is not."""

from pathlib import Path

import msgspec

from mnc.compile.measure.options import SimulationOptions
from mnc.compile.measure.simulated import SimulatedMeasurer
from mnc.compile.records.trial import Trial, trial_of
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.options import SearchOptions
from mnc.compile.tuning.search import Search, default_config
from mnc.compile.tuning.tuner import tune
from mnc.compile.tuning.warm_start import warm_start
from mnc.targets import load
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
    assert [config.index for config in warm_start(task.task, trials)] == [b, a]
    assert warm_start(task.task, []) == []
    first = warm_start(task.task, trials)
    asked = Search(task.task, tuner="random", first=[*first, *first]).ask(4)
    default = default_config(task.task)
    assert len({config.index for config in asked}) == 4
    assert {a, b, default.index} <= {config.index for config in asked[:3]} | {default.index}


def test_a_small_budget_reaches_every_task(tmp_path: Path) -> None:
    tasks = [tuning_tasks.pointwise_task(BOARD, inputs=16, outputs=16, size=s) for s in (4, 5, 7)]
    options = SimulationOptions(workers=1, verify=False)
    with (
        SimulatedMeasurer(BOARD, options=options) as measurer,
        TuningLog.open(tmp_path / "log", exclusive=True) as tuning_log,
    ):
        summary = tune(
            tasks, BOARD, tuning_log, measurer, options=SearchOptions(trials=12, tuner="random")
        )
    assert [task.trials for task in summary.tasks] == [4, 4, 4]
