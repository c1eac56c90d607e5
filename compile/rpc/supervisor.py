# SPDX-License-Identifier: Apache-2.0
"""Keeps one virtual board up: `python -m mnc.compile.rpc.supervisor FOLDER < a pipe`.

Runs the command in FOLDER/command.json and runs it again when it dies, as a board's init would. When
standard input ends, that is, when whoever started the board is gone, it kills all of the board and removes
FOLDER.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

COMMAND, STATE, LOG = "command.json", "state.json", "log.txt"
PR_SET_PDEATHSIG = 1
POLL = 0.1  # seconds
PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between boots of a board that dies at once


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    words: list[str]
    environment: dict[str, str]


class BoardState(msgspec.Struct, frozen=True, kw_only=True):
    """The board now: its server's process, how often it was started, how it last ended."""

    pid: int
    boots: int
    last_exit: int | None = None


def main() -> None:
    """Run until standard input ends."""
    folder = Path(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of the pipe is the one way to stop
    command = msgspec.json.decode((folder / COMMAND).read_bytes(), type=Command)
    try:
        _keep_up(folder, command)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep_up(folder: Path, command: Command) -> None:
    boots, last_exit, pause = 0, None, PAUSE
    while True:
        board = _boot(command, folder)
        boots += 1
        _write(
            folder / STATE,
            msgspec.json.encode(BoardState(pid=board.pid, boots=boots, last_exit=last_exit)),
        )
        started = time.monotonic()
        try:
            if not _wait(board):
                return
        finally:
            _end(board)
        last_exit = board.returncode
        pause = (
            PAUSE if time.monotonic() - started > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
        )
        if _asked_to_stop(pause):
            return


def _boot(command: Command, folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command.words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=command.environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _wait(board: "subprocess.Popen[bytes]") -> bool:
    """Until the board dies (True) or is to be stopped (False)."""
    while board.poll() is None:
        if _asked_to_stop(POLL):
            return False
    return True


def _asked_to_stop(seconds: float) -> bool:
    ready, _, _ = select.select([0], [], [], seconds)
    return bool(ready) and not os.read(0, 64)


def _end(board: "subprocess.Popen[bytes]") -> None:
    """Kill the server and the sessions it has forked: they share its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(board.pid, signal.SIGKILL)
    board.wait()


def _write(path: Path, data: bytes) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_bytes(data)
    scratch.replace(path)


if __name__ == "__main__":
    main()
