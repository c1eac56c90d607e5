# SPDX-License-Identifier: Apache-2.0
"""One tuning for Python and the command line: what it says, and what a failure leaves."""

import inspect
import logging
from pathlib import Path

import msgspec
import pytest

from mnc.compile import api, cli
from mnc.compile.api import Observer, Trial, TuningProgress, TuningSummary
from mnc.compile.api.tuning import _others
from mnc.compile.records import family_choice
from mnc.compile.records.paths import log_path
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.options import TuningOptions
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile.export.networks import two_heads

MODEL = "mobilenet_v1_28"


class Recorder(Observer):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.peak: float | None = None

    def on_start(self, state: TuningProgress) -> None:
        self.told.append("start")
        self.peak = state.peak_gflops

    def on_batch(self, state: TuningProgress) -> None:
        self.told.append("batch")

    def on_trial(self, state: TuningProgress, trial: Trial) -> None:
        self.told.append("trial")

    def on_end(self, summary: TuningSummary) -> None:
        self.told.append("end")


def test_a_rerank_that_cannot_be_done_is_told_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = log_path(tmp_path, load("host").name, MODEL)
    known = family_choice.Choice(family="nhwc", why="fastest", measurer="local cpu=any")
    log.parent.mkdir(parents=True)
    family_choice.path_beside(log).write_bytes(msgspec.json.encode(known))
    recorder = Recorder()
    with caplog.at_level(logging.INFO, "mnc"):
        summary = api.tune(
            MODEL, trials=4, tasks=["dense"], tuner="random", logs=tmp_path, observer=recorder
        )
    assert summary.trials == 4 == len(TuningLog.open(log, exclusive=False).trials)
    assert summary.reranked is None and "use family nhwc" in summary.rerank_failure
    assert any("configs are not tried in the network" in said for said in caplog.messages)
    assert any(said.startswith(f"1 tasks, log {log}") for said in caplog.messages)
    assert recorder.told == ["start", "batch", *["trial"] * 4, "end"]
    assert recorder.peak is not None and recorder.peak > 0


def test_other_cpus_logs_are_read_for_tasks_that_are_not_begun(tmp_path: Path) -> None:
    unknown = msgspec.structs.replace(load("rpi4"), model="arm-of-nobody")
    options = TuningOptions(logs=tmp_path)
    _, nearby = _others(tmp_path / "log.jsonl", unknown, "local", options, begun=False)
    assert nearby[0][0].model == load("rpi4").model
    assert _others(tmp_path / "log.jsonl", unknown, "local", options, begun=True) == ((), ())


def test_what_did_not_happen_is_not_in_the_json() -> None:
    made = TuningSummary(trials=0, seconds=0.0, failures={}, tasks=())
    assert set(msgspec.json.decode(msgspec.json.encode(made))) == {
        "trials",
        "seconds",
        "failures",
        "tasks",
    }


@pytest.mark.slow
def test_where_there_is_no_device_the_core_model_tunes_and_chooses_the_family(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = two_heads()
    with caplog.at_level(logging.INFO, "mnc"):
        summary = api.tune(
            model, "rk3399", trials=2, tasks=["pointwise"], like="rpi4", workers=1, logs=tmp_path
        )
    assert summary.trials == 2 and summary.reranked is None and not summary.rerank_failure
    chosen = family_choice.chosen(log_path(tmp_path, "rk3399", model.name))
    assert summary.family == chosen and chosen.simulated and not chosen.measured
    assert set(chosen.seconds) == set(family_choice.FAMILIES)
    assert chosen.seconds[chosen.family] == min(chosen.seconds.values())
    assert "simulated as a whole" in chosen.why
    said = "\n".join(caplog.messages)
    for part in ("no device: costs are simulated", "tune rpi4 first, or leave out --like"):
        assert part in said
    assert f"builds use family {chosen.family}; {chosen.why}" in said


def test_a_kind_that_the_network_has_not_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no task of kind conv; see `mnc tasks`"):
        api.tune(MODEL, tasks=["conv"], logs=tmp_path)


@pytest.mark.parametrize(
    ("verb", "function", "renamed"),
    [
        ("tune", api.tune, {"kinds": "tasks"}),
        ("rerank", api.rerank, {}),
        ("family", api.choose_family, {}),
    ],
)
def test_the_command_line_has_the_api_s_options(
    verb: str, function: object, renamed: dict[str, str]
) -> None:
    takes = set(inspect.signature(function).parameters) - {"observer"}  # type: ignore[arg-type]
    words = {one.name for one in cli.cli.commands[verb].params if one.name is not None}
    of_the_model = {"model_spec", "model_flag", "weights", "shape_texts", "batch"}
    of_the_model |= {"precision", "calibration", "keep_float"}
    offers = {renamed.get(word, word) for word in words - of_the_model - {"as_json"}}
    assert (offers - {"target_name"}) | {"model", "target"} == takes


def test_help_names_the_defaults_that_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tune", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "or all. [default: all]" in said
    assert f"default: {api.TRIALS_PER_TASK} a task" in said
