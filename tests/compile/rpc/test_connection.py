# SPDX-License-Identifier: Apache-2.0
"""Sessions on real boards, and everything that can be in the way of one."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mnc.compile.rpc import board as boards
from mnc.compile.rpc import connection, fleet, server, server_names
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.address import Address
from mnc.compile.rpc.board import Board
from mnc.compile.rpc.tracker import Tracker
from mnc.support.errors import UserError
from mnc.targets import Target


@pytest.fixture(scope="module")
def shared_tracker() -> Iterator[Tracker]:
    with trackers.start_tracker(port=9490) as one:
        yield one


@pytest.fixture(scope="module")
def shared(arm: Target, shared_tracker: Tracker) -> Iterator[Board]:
    with boards.start_board(arm, tracker=shared_tracker.address, cores=2) as one:
        yield one


def wait_until_free(board: Board) -> None:
    """A device registers again a moment after its session has ended, or when it has booted."""
    while not trackers.summary(board.address.tracker).free(board.key):
        time.sleep(0.1)


def test_no_tracker() -> None:
    with pytest.raises(UserError, match=r"no tracker at 127\.0\.0\.1:9; start a board"):
        connection.connect(Address("127.0.0.1", 9, "arm"))


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(UserError, match=r"no host is called 'nowhere\.invalid'"):
        connection.connect(Address("nowhere.invalid", 9190, "arm"))


def test_something_else_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def talk() -> None:
            accepted, _ = other.accept()
            accepted.sendall(b"HTTP/1.1 400 Bad Request")
            accepted.close()

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(UserError, match="is no tracker"):
            connection.connect(Address("127.0.0.1", other.getsockname()[1], "arm"))


class Remote:
    """A session of TVM's that notes when it is closed; it knows no report."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def cpu(self, number: int) -> int:
        return number

    def get_function(self, name: str) -> Callable[[], None]:
        if name != "CloseRPCConnection":
            raise AttributeError(name)
        return lambda: self.events.append("closed")


def test_a_session_ends_after_the_calls_that_were_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.01)
    remote, answers, closed = Remote(), threading.Event(), threading.Event()

    def late() -> None:
        answers.wait()
        remote.events.append("answered")

    device = connection.Connection(remote, Address("127.0.0.1", 9, "late"), "127.0.0.1:9")
    device.on_close(closed.set)
    with pytest.raises(UserError, match=r"gave no answer in 0\.01 s: it hangs"):
        device.call(late, seconds=0.01)
    device.close()
    assert remote.events == []  # TVM would crash this process
    answers.set()
    assert closed.wait(30.0)
    for _ in range(600):
        if len(remote.events) == 2:
            break
        time.sleep(0.05)
    assert remote.events == ["answered", "closed"]


@pytest.mark.slow
def test_no_such_device(shared: Board) -> None:
    with pytest.raises(UserError, match="has no device 'rpi4', it has arm; start a virtual one"):
        connection.connect(Address(*shared.address.tracker, "rpi4"))


@pytest.mark.slow
def test_a_busy_device_is_waited_for(shared: Board, caplog: pytest.LogCaptureFixture) -> None:
    with connection.connect(shared.address):
        with (
            caplog.at_level(logging.INFO, "mnc"),
            pytest.raises(UserError, match=r"no arm became free in 0\.5 s"),
        ):
            connection.connect(shared.address, wait_seconds=0.5)
        assert fleet.devices(shared.address.tracker)[0].state == "busy"
    assert caplog.messages == ["every arm is busy (1 of them); waiting up to 0.5 s"]
    with connection.connect(shared.address, wait_seconds=30.0):
        pass


@pytest.mark.slow
def test_threads_are_set_on_the_device(shared: Board) -> None:
    with connection.connect(shared.address) as device:
        assert device.use_threads(1) == 1
        assert device.use_threads(None, cores="all") == 2
        count = device.remote.get_function("runtime.NumThreads")
        assert device.call(count) == 2
        device.use_threads(1, cores="little")
        with pytest.raises(UserError, match=r"3 threads .* has 2 core"):
            device.use_threads(3)
        with pytest.raises(UserError, match="give 1 or more"):
            device.use_threads(0)


@pytest.mark.slow
def test_a_device_that_freezes(arm: Target, shared_tracker: Tracker) -> None:
    with boards.start_board(arm, tracker=shared_tracker.address, key="frozen") as board:
        with connection.connect(board.address) as device:
            os.killpg(board.pid, signal.SIGSTOP)
            with pytest.raises(UserError, match="gave no answer in 1 s: it hangs"):
                device.call(lambda: device.remote.listdir("."), seconds=1.0)
            os.killpg(board.pid, signal.SIGCONT)
        wait_until_free(board)
        os.killpg(board.pid, signal.SIGSTOP)
        host, port, password = trackers.request(shared_tracker.address, "frozen", wait_seconds=5.0)
        with pytest.raises(UserError, match="is registered but did not answer in 1 s"):
            connection.open_session(board.address, host, port, password, connect_seconds=1.0)


@pytest.mark.slow
def test_a_device_that_dies_in_a_session(arm: Target, shared_tracker: Tracker) -> None:
    with boards.start_board(arm, tracker=shared_tracker.address, key="mortal") as board:
        with connection.connect(board.address) as device:
            os.kill(board.pid, signal.SIGKILL)
            os.killpg(board.pid, signal.SIGKILL)
            with pytest.raises(
                UserError, match=r"device mortal .* failed: .*; see its server's log"
            ):
                device.call(lambda: device.remote.listdir("."))
        wait_until_free(board)
        with connection.connect(board.address) as device:  # it has booted again
            assert device.report is not None and device.report.crashes == 0


@pytest.mark.slow
def test_the_list_tells_of_free_devices_what_they_say(shared: Board) -> None:
    wait_until_free(shared)
    (row,) = fleet.devices(shared.address.tracker)
    wait_until_free(shared)
    assert (row.key, row.state, row.arch, row.cores, row.tvm) == (
        "arm",
        "free",
        "aarch64",
        2,
        "0.19.0",
    )
    assert row.where == f"127.0.0.1:{shared.port}" and row.emulated
    (unasked,) = fleet.devices(shared.address.tracker, ask=False)
    assert (unasked.where, unasked.state, unasked.arch) == (row.where, "free", None)


def test_the_server_file_and_its_client_agree() -> None:
    for name in ("REPORT", "SETUP_CACHES", "PREPARE_CACHES", "POOL_THREADS"):
        assert getattr(server, name) == getattr(server_names, name)
