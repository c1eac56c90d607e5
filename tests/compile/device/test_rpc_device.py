# SPDX-License-Identifier: Apache-2.0
"""A device over RPC, here a virtual board: runs, times by its own clock, and marks of an emulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mnc.compile import api
from mnc.compile.artifact import store, writer
from mnc.compile.artifact.store import Artifact
from mnc.compile.codegen import network
from mnc.compile.codegen.network import Built
from mnc.compile.device.device import OURS, Device
from mnc.compile.device.opening import open_device
from mnc.compile.device.options import DeviceOptions
from mnc.compile.rpc import board as boards
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.board import Board
from mnc.compile.runtime.layers import layers_of
from mnc.compile.runtime.remote_session import RemoteSession
from mnc.compile.runtime.verify import check_golden
from mnc.model import zoo
from mnc.model.zoo import Model
from mnc.support.errors import UserError
from mnc.targets import Target

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> Model:
    return zoo.load("mobilenet_v1_28")


@pytest.fixture(scope="module")
def built(arm: Target, model: Model) -> Built:
    return network.build(model, arm)


@pytest.fixture(scope="module")
def made(
    arm: Target, model: Model, built: Built, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    folder = tmp_path_factory.mktemp("rpc") / "artifact"
    writer.save(built, model, arm, folder)
    return store.load(folder)


@pytest.fixture(scope="module")
def board(arm: Target) -> Iterator[Board]:
    with (
        trackers.start_tracker(port=9790) as tracker,
        boards.start_board(arm, tracker=tracker.address) as one,
    ):
        yield one


@pytest.fixture(scope="module")
def device(arm: Target, board: Board) -> Device:
    return open_device(arm, DeviceOptions(address=str(board.address), threads=1))


def test_a_session_gives_pytorch_s_answers(device: Device, made: Artifact) -> None:
    session = device.session(made)
    assert isinstance(session, RemoteSession)
    try:
        check_golden(made, session)
        assert session.threads == 1
    finally:
        session.close()


def test_it_is_timed_there_without_rivals(device: Device, made: Artifact) -> None:
    def never(_: object) -> dict[str, object]:
        raise AssertionError("PyTorch does not run over there")

    report = device.bench(made, seconds=0.1, rivals=never)  # type: ignore[arg-type]
    assert list(report.latencies) == [OURS] and report.latencies[OURS].median > 0
    assert report.device and report.upload and report.load and "emulated" in report.note


def test_layers_are_profiled_there(board: Board, made: Artifact, tmp_path: Path) -> None:
    report = api.profile(made, device=str(board.address), threads=1, runs=2)
    assert [layer.name for layer in report.layers] == [layer.name for layer in layers_of(made)]
    assert all(layer.seconds > 0 for layer in report.layers) and report.threads == 1
    assert report.predicted is None  # nothing is tuned
    if report.roof is None:
        with pytest.raises(UserError, match="there is no roofline to draw"):
            api.draw_roofline(report, tmp_path / "roof.svg")
    else:
        api.draw_roofline(report, tmp_path / "roof.svg")
        assert "<svg" in (tmp_path / "roof.svg").read_text("utf-8")


def test_an_emulator_s_times_are_marked_or_refused(
    device: Device, arm: Target, built: Built, model: Model
) -> None:
    timer = device.network_timer(seconds=0.1)
    assert timer.name == f"emulated rpc key=arm cpu={arm.model}"
    assert timer.seconds_of(built, model) > 0
    with pytest.raises(UserError, match="is emulated"):
        device.layer_timer()
    with pytest.raises(UserError, match=r"is emulated .* say nothing about a real core"):
        device.measurer()
