# SPDX-License-Identifier: Apache-2.0
"""Virtual boards and trackers as processes: they come up, stay up, and leave nothing behind."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]
import pytest

from mnc.compile.rpc import board as boards
from mnc.compile.rpc import connection, rootfs, server_names
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.board import Board
from mnc.compile.rpc.tracker import Tracker
from mnc.support.errors import UserError
from mnc.targets import Target, load

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


def eventually(true: Callable[[], bool], what: str) -> None:
    """Wait for it; the limit only ends a test that would never end."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError(what)


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_it_says_what_it_is(board: Board) -> None:
    with connection.connect(board.address) as device:
        report = device.report
        assert report is not None
        assert (report.arch, report.cores, report.tvm) == ("aarch64", 2, "0.19.0")
        assert report.emulated == "qemu-aarch64 -cpu cortex-a72"
        # Also when nobody has told it so.
        assert device.remote.get_function(server_names.REPORT) is not None
    assert Path(f"/proc/{board.pid}/exe").resolve() == rootfs.emulator("aarch64").resolve()


@pytest.mark.parametrize("victim", ["server", "tracker"])
def test_what_dies_comes_back_at_its_address(board: Board, tracker: Tracker, victim: str) -> None:
    port, pid = board.port, board.pid
    os.kill(board.pid if victim == "server" else tracker.pid, signal.SIGKILL)

    def back() -> bool:
        try:
            return board.registered() and trackers.summary(tracker.address).free(board.key) == 1
        except UserError:
            return False

    time.sleep(0.5)
    eventually(back, f"the {victim} stays away")
    assert board.port == port
    assert (board.pid != pid) == (victim == "server")
    with connection.connect(board.address) as device:
        assert device.report is not None


def test_stopping_leaves_nothing(arm: Target, tracker: Tracker) -> None:
    board = boards.start_board(arm, tracker=tracker.address)
    with connection.connect(board.address):  # a session is a process of its own
        family = psutil.Process(board.supervisor_pid).children(recursive=True)
        assert len(family) == 2
        board.close()
    assert not any(alive(process.pid) for process in family)
    assert not alive(board.supervisor_pid) and not board.folder.exists()
    eventually(
        lambda: not trackers.summary(tracker.address).count("arm"), "the tracker still has it"
    )
    board.close()  # twice does no harm


def test_a_frozen_board_can_be_stopped(arm: Target, tracker: Tracker) -> None:
    board = boards.start_board(arm, tracker=tracker.address)
    pid = board.pid
    os.killpg(pid, signal.SIGSTOP)
    board.close()
    assert not alive(pid)


OWNER = """
import sys, time
from mnc.compile.rpc import board, connection, tracker
from mnc.targets import load
with tracker.start_tracker(port=9310) as one, board.start_board(load("arm"), tracker=one.address) as two:
    with connection.connect(two.address) as device:
        print(one.pid, one.supervisor_pid, two.pid, two.supervisor_pid, one.folder, two.folder, flush=True)
        time.sleep(3600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_its_owner(number: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=ROOT, stdout=-1, stderr=subprocess.DEVNULL, text=True
    )
    assert owner.stdout is not None
    *pids, first, second = owner.stdout.readline().split()
    family = [psutil.Process(int(pid)) for pid in pids]
    family += [child for process in family for child in process.children(recursive=True)]
    owner.send_signal(number)
    owner.wait()
    eventually(lambda: not any(alive(process.pid) for process in family), "processes are left")
    eventually(lambda: not Path(first).exists() and not Path(second).exists(), "files are left")


def test_it_ends_when_its_supervisor_is_killed(board: Board) -> None:
    with connection.connect(board.address):
        family = [psutil.Process(board.pid), *psutil.Process(board.pid).children()]
        assert len(family) == 2
        os.kill(board.supervisor_pid, signal.SIGKILL)
        eventually(lambda: not any(alive(process.pid) for process in family), "processes are left")


def test_cpu_models_and_cores_can_be_chosen(arm: Target, tracker: Tracker) -> None:
    with (
        boards.start_board(arm, tracker=tracker.address, key="max", cpu="max", cores=4) as board,
        connection.connect(board.address) as device,
    ):
        assert device.report is not None
        assert (device.report.cores, device.report.emulated) == (4, "qemu-aarch64 -cpu max")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cpu": "cortex-m0"}, r"no aarch64 CPU 'cortex-m0'; choose one of .*cortex-a72"),
        ({"cores": 0}, "1 to 64 cores"),
        ({"key": "two words"}, "cannot be a device's key"),
        ({"tracker": ("127.0.0.1", 9)}, "no tracker at 127.0.0.1:9"),
    ],
)
def test_mistakes_are_told(arm: Target, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        boards.start_board(arm, **options)  # type: ignore[arg-type]


def test_there_is_no_board_for_x86() -> None:
    with pytest.raises(UserError, match="no virtual board for x86_64"):
        boards.start_board(
            msgspec.structs.replace(load("arm"), triple="x86_64-linux-gnu", glibc=None)
        )


def test_listening_to_others_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with trackers.start_tracker(host="0.0.0.0", port=9320) as one:
        assert trackers.answers(one.address)
    (warned,) = caplog.records
    assert warned.levelno == logging.WARNING and "no authentication" in warned.getMessage()
