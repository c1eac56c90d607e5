# SPDX-License-Identifier: Apache-2.0
"""A device's server under clients that mean no good, or that are only late: it serves the others."""

import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator

import pytest
from tvm.rpc import base

from mnc.compile.rpc import board as boards
from mnc.compile.rpc import connection, server
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.registered import RegisteredServer
from mnc.compile.rpc.tracker import Tracker
from mnc.support import child_process
from mnc.support.errors import UserError
from mnc.targets import load

MAGIC = struct.pack("<i", base.RPC_MAGIC)
# All that a client may send and never go on from.
SILENT = (b"", MAGIC[:2], MAGIC, MAGIC + struct.pack("<i", 40) + b"client:")
RUBBISH = (
    b"GET / HTTP/1.1\r\n",
    MAGIC + struct.pack("<i", -1),
    MAGIC + struct.pack("<i", 2) + b"\xff ",
)


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    with trackers.start_tracker(port=9890) as one:
        yield one


@pytest.fixture(scope="module", params=["here", "virtual"])
def kept_up(request: pytest.FixtureRequest, tracker: Tracker) -> Iterator[RegisteredServer]:
    """A server of this machine's own code, and a virtual board."""
    if request.param == "virtual":
        with boards.start_board(load("arm"), tracker=tracker.address, cores=1) as board:
            yield board
        return
    options = ["--host=127.0.0.1", "--key=here", f"--tracker={trackers.text(tracker.address)}"]
    command = [sys.executable, "-P", server.__file__, *options, "--custom-addr=127.0.0.1"]
    environment = child_process.environment(TVM_USE_RUNTIME_LIB="1", PYTHONUNBUFFERED="1")
    with RegisteredServer(
        "the server", command, tracker=tracker.address, key="here", environment=environment
    ) as one:
        one.wait_until_registered()
        yield one


def serves(one: RegisteredServer) -> bool:
    """Whether a client gets a session."""
    with connection.connect(one.address, wait_seconds=30.0) as device:
        return device.report is not None


@pytest.mark.slow
def test_clients_that_say_nothing_keep_nobody_out(kept_up: RegisteredServer) -> None:
    place = ("127.0.0.1", kept_up.port)
    silent = [socket.create_connection(place) for _ in range(3) for _ in SILENT]
    try:
        for client, words in zip(silent, SILENT * 3, strict=True):
            client.sendall(words)
        for words in RUBBISH:
            with socket.create_connection(place) as client:
                client.sendall(words)
        assert serves(kept_up) and serves(kept_up)
        assert kept_up.state is not None and kept_up.state.boots == 1
        assert "the loop ended" not in kept_up.log
    finally:
        for client in silent:
            client.close()


@pytest.mark.slow
def test_it_comes_back_though_its_port_was_taken(kept_up: RegisteredServer) -> None:
    before = kept_up.port
    assert before is not None
    os.kill(kept_up.pid, signal.SIGKILL)
    with taken(before):
        while kept_up.port == before or not back(kept_up):
            time.sleep(0.1)
        assert serves(kept_up) and kept_up.port != before


def back(one: RegisteredServer) -> bool:
    """Whether the tracker has it, once and at its new place."""
    try:
        return one.registered()
    except UserError:
        return False


def taken(port: int) -> socket.socket:
    """Somebody else's server there, as soon as the port is free."""
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            time.sleep(0.01)
