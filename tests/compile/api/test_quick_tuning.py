# SPDX-License-Identifier: Apache-2.0
"""The first build on a CPU that no log knows is a tuned one, within seconds that are known beforehand."""

from pathlib import Path

import pytest

from mnc.compile import api
from mnc.compile.api import quick_tuning
from mnc.compile.records.paths import log_path
from mnc.compile.records.trial import trial_of
from mnc.compile.records.tuning_log import TuningLog
from mnc.support.errors import UserError
from mnc.targets import load
from mnc.targets.catalog import FOLDER
from tests.compile import tuning_tasks
from tests.compile.templates.workloads import by_strassen

HOST = load("host")


@pytest.mark.slow
def test_a_first_build_tries_what_suits_other_cpus_and_a_second_uses_it(tmp_path: Path) -> None:
    logs, log = tmp_path / "logs", log_path(tmp_path / "logs", HOST.name, "mobilenet_v1_28")
    first = api.build("mobilenet_v1_28", out=tmp_path / "a", logs=logs, check=False, quick_tune=12)
    known = log.read_bytes()
    assert any(kernel.tuned for kernel in first.manifest.kernels)
    assert {kernel.measurer for kernel in first.manifest.kernels if kernel.tuned} == {
        f"local-v1 cpu={HOST.model} threads=1"
    }
    second = api.build("mobilenet_v1_28", out=tmp_path / "b", logs=logs, check=False, quick_tune=0)
    assert log.read_bytes() == known
    assert [one.config for one in second.manifest.kernels] == [
        one.config for one in first.manifest.kernels
    ]


@pytest.mark.slow
def test_a_target_of_one_s_own_without_a_device_is_tried_by_the_core_model(tmp_path: Path) -> None:
    own, logs = tmp_path / "own.toml", tmp_path / "logs"
    text = (FOLDER / "rk3399.toml").read_text().replace('name = "rk3399"', 'name = "own"')
    own.write_text(
        text.replace('model = "rk3399"', 'model = "own"').replace('["rockchip,rk3399"]', "[]")
    )
    made = api.build("mobilenet_v1_28", own, out=tmp_path, logs=logs, check=False, quick_tune=8)
    tuned = [kernel for kernel in made.manifest.kernels if kernel.tuned]
    assert tuned and all(str(kernel.measurer).startswith("simulated ") for kernel in tuned)
    trials = TuningLog.open(log_path(logs, "own", "mobilenet_v1_28"), exclusive=False).trials
    assert {trial.model for trial in trials} == {"own"}
    # Nothing is built but what gave the right output.
    right = {trial.key for trial in trials if trial.verified}
    assert {kernel.key for kernel in tuned} <= right


def test_it_is_due_until_nearly_all_of_the_work_is_known(tmp_path: Path) -> None:
    large = tuning_tasks.pointwise_task(HOST, inputs=64, outputs=64, size=14)
    small = tuning_tasks.pointwise_task(HOST, inputs=16, outputs=16, size=4)
    with TuningLog.open(tmp_path / "log", exclusive=True) as log:
        assert quick_tuning.is_due([large, small], log)
        config = large.task.config_space.get(tuning_tasks.indices(large, 1)[0])
        log.append(trial_of(large.task, config, costs=(1e-3,), measurer="local", verified=True))
        assert not quick_tuning.is_due([large, small], log)
        assert not quick_tuning.is_due([large, by_strassen((1, 64, 14, 14, 4), 64, "relu6")], log)
        assert quick_tuning.is_due([small], log)
        assert quick_tuning.quick_tune([large], HOST, log, tmp_path, 45.0) == 0


def test_a_log_that_another_process_writes_stops_no_build(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = tuning_tasks.pointwise_task(HOST, inputs=16, outputs=16, size=4)
    path = tmp_path / "x" / "log.jsonl"
    with TuningLog.open(path, exclusive=True) as log:
        assert quick_tuning.quick_tune([task], HOST, log, tmp_path, 1.0) == 0
    assert "kernels are not tuned first" in caplog.text


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan", ""])
def test_what_the_environment_names_must_be_seconds(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(quick_tuning.VARIABLE, text)
    with pytest.raises(UserError, match="MNC_QUICK_TUNE="):
        quick_tuning.default_seconds()
    monkeypatch.delenv(quick_tuning.VARIABLE)
    assert quick_tuning.default_seconds() == 45
