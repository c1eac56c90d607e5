# SPDX-License-Identifier: Apache-2.0
"""A small network tuned a little, then re-ranked inside itself: what the log and a build make of it."""

import logging
from pathlib import Path

import pytest

from mnc.compile import api
from mnc.compile.codegen.network import prepare
from mnc.compile.device.local import LocalLayerTimer
from mnc.compile.records.paths import log_path
from mnc.compile.records.ranking import best_of_each
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning import rerank
from mnc.model import zoo
from mnc.support.errors import UserError
from mnc.targets import load

MODEL = "mobilenet_v1_28"


@pytest.mark.slow
def test_the_best_configs_are_timed_in_the_network_and_built(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api.tune(MODEL, trials=36, tasks=("pointwise",), reranking=False, logs=tmp_path)
    target = load("host")
    path = log_path(tmp_path, target.name, MODEL)
    alone = TuningLog.open(path, exclusive=False).trials
    with caplog.at_level(logging.INFO, "mnc"):
        summary = api.rerank(MODEL, keep=2, logs=tmp_path)
    assert any("network 2 of 2" in text for text in caplog.messages)
    added = TuningLog.open(path, exclusive=False).trials[len(alone) :]
    assert added and all(trial.in_network and trial.verified for trial in added)
    assert len({trial.when for trial in added}) == 1
    assert {trial.key for trial in added} == {task.key for task in summary.tasks}
    assert {trial.config.index for trial in added} <= {trial.config.index for trial in alone}
    for task in summary.tasks:
        costs = [trial.cost for trial in added if trial.key == task.key]
        assert 1 <= len(costs) == task.tried <= 2
        assert task.after == min(costs) <= task.before
    assert summary.after > 0 and summary.predicted > 0 and summary.others > 0
    built = api.build(MODEL, out=tmp_path / "out", logs=tmp_path).manifest
    chosen = best_of_each(alone + added)
    used = {kernel.key: kernel for kernel in built.kernels if kernel.tuned}
    assert used and set(used) <= set(chosen)  # some are parts of pairs that are fused
    for key, kernel in used.items():
        assert kernel.measurer == chosen[key].measurer and kernel.cost == chosen[key].cost
        assert "in-network" in str(kernel.measurer).split()


def test_without_records_there_is_nothing_to_rank(tmp_path: Path) -> None:
    model, target = zoo.load(MODEL), load("host")
    timer = LocalLayerTimer(target, threads=1)
    with (
        TuningLog.open(tmp_path / "log.jsonl", exclusive=True) as tuning_log,
        pytest.raises(UserError, match="tune first"),
    ):
        rerank.rerank(model, prepare(model, target), tuning_log, timer)


def test_another_machine_s_target_needs_its_device() -> None:
    with pytest.raises(UserError, match="--device"):
        api.rerank(MODEL, "rpi4")
