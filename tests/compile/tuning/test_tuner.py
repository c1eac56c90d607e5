# SPDX-License-Identifier: Apache-2.0
"""Tuning for real, on small tasks: what is searched, logged, skipped, resumed, and survived."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.measure.local import LocalMeasurer
from mnc.compile.measure.measurer import Measurer
from mnc.compile.measure.options import LocalOptions, SimulationOptions
from mnc.compile.measure.simulated import SimulatedMeasurer
from mnc.compile.records.ranking import best
from mnc.compile.records.trial import Trial
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.options import PATIENCE, TRIALS_PER_TASK, TUNERS, SearchOptions
from mnc.compile.tuning.progress import TuningSummary
from mnc.compile.tuning.tuner import tune
from mnc.support.errors import UserError
from mnc.targets import Target, load
from tests.compile import faulty_template, tuning_tasks

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def target() -> Target:
    return tuning_tasks.host()


@pytest.fixture(scope="module")
def tasks(target: Target) -> list[TunableTask]:
    return [
        tuning_tasks.pointwise_task(target, inputs=128, outputs=256, size=28),
        tuning_tasks.pointwise_task(target, inputs=64, outputs=128, size=14),
        tuning_tasks.depthwise_task(target, channels=64, size=28),
    ]


@pytest.fixture(scope="module")
def measurer(target: Target) -> Iterator[LocalMeasurer]:
    options = LocalOptions(budget=0.005, templates=(faulty_template.MODULE,))
    with LocalMeasurer(target, options=options) as one:
        yield one


def run(
    path: Path,
    tasks: list[TunableTask],
    target: Target,
    measurer: Measurer,
    options: SearchOptions,
) -> TuningSummary:
    with TuningLog.open(path, exclusive=True, target=target.tvm_target()) as tuning_log:
        return tune(tasks, target, tuning_log, measurer, options=options)


def trials_of(path: Path) -> list[Trial]:
    with TuningLog.open(path, exclusive=False) as tuning_log:
        assert not tuning_log.skipped
        return tuning_log.trials


def repeated(trials: list[Trial]) -> int:
    seen = Counter((trial.key, trial.config.index) for trial in trials)
    return sum(count - 1 for count in seen.values())


@pytest.mark.slow
def test_the_budget_is_spent_once_and_goes_to_the_long_task(
    tmp_path: Path, tasks: list[TunableTask], target: Target, measurer: LocalMeasurer
) -> None:
    path = tmp_path / "log.jsonl"
    summary = run(path, tasks, target, measurer, SearchOptions(trials=80, floor=8))
    trials = trials_of(path)
    assert summary.trials == len(trials) == 80
    assert repeated(trials) == 0
    by_key = {outcome.key: outcome for outcome in summary.tasks}
    assert by_key[tasks[0].key].trials > by_key[tasks[1].key].trials >= 8
    for task in tasks:
        found = best(trials, task.key)
        assert found is not None and by_key[task.key].cost == found.cost
    again = run(path, tasks, target, measurer, SearchOptions(trials=80, floor=8))
    assert again.trials == 0 and trials_of(path) == trials
    more = run(path, tasks, target, measurer, SearchOptions(trials=96, floor=8))
    assert more.trials == 16 and repeated(trials_of(path)) == 0


@pytest.mark.parametrize("tuner", TUNERS)
def test_every_tuner_searches_a_space_to_its_end_without_repeating(
    tmp_path: Path, target: Target, measurer: LocalMeasurer, tuner: str
) -> None:
    task = tuning_tasks.depthwise_task(target, channels=32, size=7)
    space = len(task.task.config_space)
    path = tmp_path / "log.jsonl"
    half = run(path, [task], target, measurer, SearchOptions(trials=space // 2, tuner=tuner))
    assert half.trials == space // 2
    rest = run(path, [task], target, measurer, SearchOptions(trials=10 * space, tuner=tuner))
    assert rest.trials == space - space // 2
    assert repeated(trials_of(path)) == 0
    assert run(path, [task], target, measurer, SearchOptions(trials=10 * space)).trials == 0


def test_force_measures_again(
    tmp_path: Path, tasks: list[TunableTask], target: Target, measurer: LocalMeasurer
) -> None:
    path = tmp_path / "log.jsonl"
    run(path, tasks[1:2], target, measurer, SearchOptions(trials=8))
    forced = run(path, tasks[1:2], target, measurer, SearchOptions(trials=8, force=True))
    assert forced.trials == 8 and len(trials_of(path)) == 16


def test_costs_made_with_other_threads_do_not_count(
    tmp_path: Path, tasks: list[TunableTask], target: Target, measurer: LocalMeasurer
) -> None:
    path = tmp_path / "log.jsonl"
    run(path, tasks[1:2], target, measurer, SearchOptions(trials=8))
    with LocalMeasurer(target, options=LocalOptions(threads=2, budget=0.005)) as two:
        assert run(path, tasks[1:2], target, two, SearchOptions(trials=8)).trials == 8
    assert {trial.threads for trial in trials_of(path)} == {1, 2}


@pytest.mark.slow
@pytest.mark.alone
def test_failures_are_counted_by_kind_and_never_best(
    tmp_path: Path, target: Target, measurer: LocalMeasurer
) -> None:
    task = tuning_tasks.faulty_task(target)
    path = tmp_path / "log.jsonl"
    with LocalMeasurer(
        target,
        options=LocalOptions(
            compile_timeout=3.0, run_timeout=1.0, templates=(faulty_template.MODULE,)
        ),
    ) as impatient:
        summary = run(path, [task], target, impatient, SearchOptions(trials=100))
    assert summary.failures == {"wrong": 2, "crash": 2, "timeout": 2, "compile": 2}
    found = best(trials_of(path), task.key)
    assert found is not None and faulty_template.FAULTS[found.config.index] == "none"


@pytest.mark.slow
def test_a_later_task_learns_from_an_earlier(tmp_path: Path) -> None:
    """With trials of a like task to learn from, the first batch is chosen, not drawn.

    On the core model, whose costs are the same on every machine, busy or not.
    """
    board, path = load("rk3399"), tmp_path / "log.jsonl"
    early, late = (
        tuning_tasks.pointwise_task(board, inputs=64, outputs=channels, size=7)
        for channels in (128, 64)
    )
    with SimulatedMeasurer(board, options=SimulationOptions(workers=2, verify=False)) as measurer:
        run(path, [early], board, measurer, SearchOptions(trials=24))
        run(path, [early, late], board, measurer, SearchOptions(trials=32, floor=8))
        first = [trial for trial in trials_of(path) if trial.key == late.key]
        drawn = random.Random(0).sample(tuning_tasks.indices(late, 1000), 16)
        other = measurer.measure(late, [late.task.config_space.get(index) for index in drawn])
        costs = [trial.cost for trial in other]
    assert len(first) == 8
    assert median(trial.cost for trial in first) < median(costs)


def test_unknown_tuners_and_other_targets_are_refused(
    tmp_path: Path, tasks: list[TunableTask], target: Target, measurer: LocalMeasurer
) -> None:
    with pytest.raises(UserError, match="choose one of xgb, random, grid, ga"):
        run(tmp_path / "a", tasks, target, measurer, SearchOptions(tuner="annealing"))
    with pytest.raises(UserError, match="extract the tasks with the target"):
        run(tmp_path / "b", tasks, load("rpi4"), measurer, SearchOptions())


TUNE = """
import sys
from pathlib import Path
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.measure.local import LocalMeasurer
from mnc.compile.measure.measurer import Measurer
from mnc.compile.measure.options import LocalOptions, SimulationOptions
from mnc.compile.measure.simulated import SimulatedMeasurer
from mnc.compile.tuning.options import TUNERS, SearchOptions
from mnc.compile.tuning.tuner import tune
from tests.compile import tuning_tasks
target = tuning_tasks.host()
tasks = [tuning_tasks.pointwise_task(target), tuning_tasks.depthwise_task(target)]
with TuningLog.open(Path(sys.argv[1]), exclusive=True, target=target.tvm_target()) as tuning_log:
    with LocalMeasurer(target, options=LocalOptions(budget=0.02)) as measurer:
        print("tuning", flush=True)
        tune(tasks, target, tuning_log, measurer, options=SearchOptions(trials=int(sys.argv[2])))
"""


def start(path: Path, trials: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", TUNE, str(path), str(trials)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def whole_lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1].splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_tune_killed_at_random_loses_and_repeats_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    path, chance, total = tmp_path / "log.jsonl", random.Random(7), 40
    kills = 0
    for _ in range(3):
        process = start(path, total)
        assert process.stdout is not None
        assert process.stdout.readline() == b"tuning\n"
        time.sleep(chance.uniform(0.0, 3.0))
        kills += process.poll() is None
        before = whole_lines(path)
        process.send_signal(number)
        process.communicate()
        assert whole_lines(path)[: len(before)] == before
    assert kills > 0
    last = start(path, total)
    assert last.communicate()[1].count(b"Traceback") == 0 and last.returncode == 0
    trials = trials_of(path)
    assert len(trials) == total and repeated(trials) == 0
    assert all(trial.verified for trial in trials)


@pytest.mark.slow
def test_a_log_in_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    first = start(path, 40)
    assert first.stdout is not None and first.stdout.readline() == b"tuning\n"
    first.send_signal(signal.SIGSTOP)  # so that it is at it for as long as the second takes
    second = start(path, 40)
    said = second.communicate()[1]
    assert b"UserError" in said and str(first.pid).encode() in said
    first.kill()
    first.communicate()


def test_a_task_that_no_longer_gets_better_is_over(
    tmp_path: Path, target: Target, measurer: LocalMeasurer
) -> None:
    """Where nobody named a budget: by the log, so that the next call makes no trial more."""
    path = tmp_path / "log.jsonl"
    task = tuning_tasks.pointwise_task(target, inputs=128, outputs=256, size=28)
    assert len(task.task.config_space) > TRIALS_PER_TASK
    run(path, [task], target, measurer, SearchOptions())
    costs = [trial.cost for trial in trials_of(path)]
    since = len(costs) - 1 - costs.index(min(costs))
    assert since == PATIENCE or (since < PATIENCE and len(costs) == TRIALS_PER_TASK)
    assert run(path, [task], target, measurer, SearchOptions()).trials == 0
