# SPDX-License-Identifier: Apache-2.0
"""Measuring over RPC on virtual boards: every way a candidate or a device can fail, really happening."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.measure.options import RpcOptions
from mnc.compile.measure.rpc import RpcMeasurer
from mnc.compile.records.ranking import best_of_each
from mnc.compile.records.trial import Trial
from mnc.compile.rpc import board as boards
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.board import Board
from mnc.compile.rpc.tracker import Tracker
from mnc.support.errors import UserError
from mnc.targets import Target, load
from tests.compile import faulty_template, tuning_tasks

pytestmark = [pytest.mark.slow, pytest.mark.alone]
OPTIONS = RpcOptions(
    allow_emulated=True,
    run_timeout=2.0,
    probe_seconds=3.0,
    wait_seconds=2.0,
    transfer_timeout=5.0,
    compile_timeout=20.0,
    device_wait=4.0,
    idle_seconds=0.5,
    templates=(faulty_template.MODULE,),
)


@pytest.fixture(scope="module")
def shared_tracker() -> Iterator[Tracker]:
    with trackers.start_tracker(port=9690) as one:
        yield one


@pytest.fixture(scope="module")
def shared(arm: Target, shared_tracker: Tracker) -> Iterator[Board]:
    with boards.start_board(arm, tracker=shared_tracker.address) as one:
        yield one


@pytest.fixture(scope="module")
def measurer(arm: Target, shared: Board) -> Iterator[RpcMeasurer]:
    with RpcMeasurer(arm, shared.address, options=OPTIONS) as one:
        yield one


def measure(measurer: RpcMeasurer, task: TunableTask, count: int = 4) -> list[Trial]:
    space = task.task.config_space
    indices = [i for i in range(space.range_length) if space.is_index_valid(i)][:count]
    return list(measurer.measure(task, [space.get(index) for index in indices]))


def test_kernels_are_checked_and_timed_and_marked(measurer: RpcMeasurer, arm: Target) -> None:
    for task in (
        tuning_tasks.pointwise_task(arm),
        tuning_tasks.depthwise_task(arm),
        tuning_tasks.fused_task(arm),
    ):
        trials = measure(measurer, task)
        assert len(trials) == 4
        assert all(trial.verified and trial.costs and trial.error is None for trial in trials)
        assert {trial.measurer for trial in trials} == {
            "rpc-v1 cpu=generic-cortex-a72 threads=1 emulated"
        }
        assert best_of_each(trials) == {}  # no build may use them


def test_kernels_in_half_precision_are_right_on_a_core_that_has_it(
    shared_tracker: Tracker,
) -> None:
    target = load("rpi5")
    with (
        boards.start_board(target, tracker=shared_tracker.address) as board,
        RpcMeasurer(target, board.address, options=OPTIONS) as measurer,
    ):
        for task in tuning_tasks.half_tasks(target):
            trials = measure(measurer, task, 3)
            assert trials
            assert [trial.message for trial in trials if not trial.verified] == [], task.shape


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        ("none", [(None, "")]),
        ("wrong", [("wrong", "1 of")]),
        ("unwritten", [("wrong", "NaN")]),
        ("segfault", [("crash", "the kernel died on the device: SIGSEGV")]),
        ("illegal", [("crash", "the kernel died on the device: SIGILL")]),
        # One that is late once may be the board's fault.
        ("hang", [("device", "answered late"), ("timeout", "the kernel took over 2")]),
        ("refused", [("compile", "this template refuses")]),
        ("compiler dies", [("compile", "SIGSEGV")]),
    ],
)
def test_a_failure_has_a_kind_and_a_reason(
    measurer: RpcMeasurer, arm: Target, fault: str, wanted: list[tuple[str | None, str]]
) -> None:
    task = tuning_tasks.faulty_task(arm)
    config = task.task.config_space.get(faulty_template.FAULTS.index(fault))
    found = list(measurer.measure(task, [config]))
    assert [trial.error for trial in found] == [error for error, _ in wanted]
    assert all(said in trial.message for trial, (_, said) in zip(found, wanted, strict=True))


def test_the_board_outlives_its_candidates(
    measurer: RpcMeasurer, shared: Board, arm: Target
) -> None:
    pid = shared.pid
    task = tuning_tasks.faulty_task(arm)
    crash = task.task.config_space.get(faulty_template.FAULTS.index("segfault"))
    list(measurer.measure(task, [crash]))
    assert all(trial.verified for trial in measure(measurer, tuning_tasks.pointwise_task(arm)))
    assert shared.pid == pid


def test_another_device_is_used_when_one_is_frozen(arm: Target, shared_tracker: Tracker) -> None:
    with (
        boards.start_board(arm, tracker=shared_tracker.address, key="pair") as one,
        boards.start_board(arm, tracker=shared_tracker.address, key="pair") as two,
        RpcMeasurer(arm, one.address, options=OPTIONS) as measurer,
    ):
        task = tuning_tasks.pointwise_task(arm)
        assert all(trial.verified for trial in measure(measurer, task, 12))
        served = [len(session_starts(board)) for board in (one, two)]
        assert min(served) >= 1  # both have worked
        os.killpg(one.pid, signal.SIGSTOP)
        trials = measure(measurer, task, 12)
        good = {trial.config.index for trial in trials if trial.verified}
        lost = [trial for trial in trials if trial.error is not None]
        assert len(good) == 12
        assert {trial.error for trial in lost} <= {"device"}
        assert all("hangs" in trial.message for trial in lost)
        os.killpg(one.pid, signal.SIGCONT)


def session_starts(board: Board) -> list[str]:
    """The lines of the server's log, one a session that was begun."""
    return [line for line in board.log.splitlines() if "start serving" in line]


def test_without_any_device_it_ends_with_what_to_do(arm: Target, shared_tracker: Tracker) -> None:
    with (
        boards.start_board(arm, tracker=shared_tracker.address, key="lone") as board,
        RpcMeasurer(arm, board.address, options=OPTIONS) as measurer,
    ):
        board.close()
        task = tuning_tasks.pointwise_task(arm)
        with pytest.raises(UserError, match=r"no lone for 4 s .* start the same command again"):
            measure(measurer, task)


def test_a_batch_given_up_leaves_a_measurer_that_works(measurer: RpcMeasurer, arm: Target) -> None:
    task = tuning_tasks.pointwise_task(arm)
    index = tuning_tasks.indices(task, 1)[0]
    configs = [task.task.config_space.get(index) for _ in range(4)]
    trials = measurer.measure(task, configs)
    next(trials)
    trials.close()  # type: ignore[attr-defined]
    assert len(measure(measurer, task, 3)) == 3


def test_no_process_file_or_session_is_left(arm: Target, shared: Board) -> None:
    with RpcMeasurer(arm, shared.address, options=OPTIONS) as one:
        measure(one, tuning_tasks.pointwise_task(arm), 2)
        scratch = one._devices.scratch
        assert scratch.is_dir()
    assert not scratch.exists()
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
    assert not any(b"mnc.compile.measure.worker" in command for command in commands)
    while not trackers.summary(shared.address.tracker).free(shared.key):  # else it never ends
        time.sleep(0.1)


def test_emulated_times_are_refused_unless_forced(arm: Target, shared: Board) -> None:
    with pytest.raises(UserError, match=r"is emulated .* say nothing about a real core"):
        RpcMeasurer(arm, shared.address, options=RpcOptions())
    allowed = RpcOptions(allow_emulated=True)
    with RpcMeasurer(arm, shared.address, options=allowed) as measurer:
        assert measurer.describe().endswith(" emulated")


def test_a_device_of_another_architecture_is_refused(shared: Board) -> None:
    with pytest.raises(UserError, match="is aarch64 and armv7 is arm"):
        RpcMeasurer(load("armv7"), shared.address, options=OPTIONS)
