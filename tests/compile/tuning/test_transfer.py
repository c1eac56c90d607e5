# SPDX-License-Identifier: Apache-2.0
"""What a task learns from other networks' logs."""

from pathlib import Path

import pytest

from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.transfer import MOST, Transfer, of_other_logs
from mnc.targets import Target
from tests.compile import tuning_tasks
from tests.compile.tuning_tasks import MEASURER, tried


@pytest.fixture(scope="module")
def target() -> Target:
    return tuning_tasks.host()


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
