# SPDX-License-Identifier: Apache-2.0
"""Every family computes the network; the fastest as a whole is kept, and followed by builds."""

import logging
from pathlib import Path

import msgspec
import pytest

from mnc.compile.api import choose_family
from mnc.compile.artifact import store, writer
from mnc.compile.cli import run
from mnc.compile.codegen import network
from mnc.compile.device.device import NetworkTimer
from mnc.compile.records import family_choice
from mnc.compile.records.family_choice import BLOCKED, FAMILIES
from mnc.compile.runtime import verify
from mnc.compile.runtime.session import Session
from mnc.compile.templates import depthwise, direct, pointwise
from mnc.compile.tuning import families
from mnc.model import torch_run, zoo
from mnc.support.errors import UserError
from mnc.targets import load


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_agrees_with_pytorch(name: str, tmp_path: Path) -> None:
    model, host = zoo.load("mobilenet_v1_28"), load("host")
    built = network.build(model, host, family=name)
    writer.save(built, model, host, tmp_path / "made")
    made = store.load(tmp_path / "made")
    report = verify.verify(
        made, session=Session(made), reference=torch_run.torch_reference(model.module)
    )
    assert report.ok


@pytest.mark.slow
def test_tvm_s_families_have_no_kernel_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("our template is not to be asked")

    for template in (pointwise, depthwise, direct):
        monkeypatch.setattr(template, "compute", never)
    network.build(zoo.load("mobilenet_v1_28"), load("rk3399"), family="nchwc")


@pytest.mark.slow
def test_the_fastest_is_kept_beside_the_log_and_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, host = zoo.load("mobilenet_v1_28"), load("host")
    choice = choose_family(model, host, device=None, threads=1, logs=tmp_path, seconds=0.2)
    assert choice.seconds[choice.family] == min(choice.seconds.values())
    assert "transforms included" in choice.why
    log = tmp_path / host.name / "mobilenet_v1_28.jsonl"
    assert family_choice.chosen(log) == choice
    words = ["build", "mobilenet_v1_28", "--target", "host", "--no-check"]
    assert run([*words, "--logs", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert f"kernel family: {choice.family}" in " ".join(capsys.readouterr().err.split())
    (made,) = (tmp_path / "out").glob("*/*")
    assert store.load(made).manifest.family == choice.family


def test_without_a_choice_ours_is_built_and_says_why(tmp_path: Path) -> None:
    choice = family_choice.chosen(tmp_path / "log.jsonl")
    assert choice.family == BLOCKED
    assert "no device has timed" in choice.why


def test_an_emulators_choice_is_not_followed(tmp_path: Path) -> None:
    made = family_choice.Choice(family="nhwc", why="fastest", measurer="emulated rpc key=arm")
    (tmp_path / "log.family.json").write_bytes(msgspec.json.encode(made))
    assert family_choice.chosen(tmp_path / "log.jsonl").family == BLOCKED


@pytest.mark.parametrize("damage", [b"", b"{", b'{"family": "best", "why": ""}', b"[1]"])
def test_a_damaged_choice_is_one_line(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "log.family.json").write_bytes(damage)
    with pytest.raises(UserError, match="delete it, or tune again"):
        family_choice.chosen(tmp_path / "log.jsonl")


def test_a_device_s_choice_outlives_a_core_model_s(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log.jsonl"
    known = family_choice.Choice(family="nhwc", why="fastest", measurer="rpc key=rk3399 cpu=rk3399")
    family_choice.path_beside(log).write_bytes(msgspec.json.encode(known))

    def never(*_: object) -> float:
        raise AssertionError("nothing is to be built or simulated")

    timer = NetworkTimer("simulated v1-x cortex-a72-y cold threads=2", never)
    with caplog.at_level(logging.INFO, "mnc"):
        found = families.choose(None, None, (), timer, log=log)
    assert found == known == family_choice.chosen(log)
    assert "a device has timed it" in caplog.messages[0]
