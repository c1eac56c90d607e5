# SPDX-License-Identifier: Apache-2.0
"""A process that is kept up, and that ends with whoever started it, whatever way that ends.

Takes a command; gives a handle with its state. A supervisor (`mnc.compile.rpc.supervisor`) stands between:
when this process is gone, even by SIGKILL, it ends the command's process group and removes its files.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping

import msgspec

from mnc.compile.rpc import supervisor
from mnc.compile.rpc.supervisor import BoardState, Command
from mnc.support import child_process, error_text
from mnc.support.closing import Closing
from mnc.support.errors import UserError
from mnc.support.owned_folder import owned_folder

PREFIX = "mnc-daemon-"
STOP_SECONDS = 10.0


class Daemon(Closing):
    """One command, kept up. Use as a context manager, or call `close`.

    `folder` is its working folder and `folder / "tmp"` its place for temporary files; both go when it ends.
    `{folder}` in the command's words stands for that folder.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        # A supervisor may still be at the files of an owner that is dead.
        self.folder = owned_folder(PREFIX, grace=STOP_SECONDS)
        (self.folder / "tmp").mkdir()
        words = [word.replace("{folder}", str(self.folder)) for word in command]
        variables = {**(os.environ if environment is None else environment)}
        orders = Command(
            words=words,
            environment={**variables, "TMPDIR": str(self.folder / "tmp")},
        )
        (self.folder / supervisor.COMMAND).write_bytes(msgspec.json.encode(orders))
        self._supervisor = subprocess.Popen(
            child_process.python("mnc.compile.rpc.supervisor", str(self.folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child_process.environment(),
            start_new_session=True,  # a terminal's Ctrl-C reaches the parent only
        )

    @property
    def state(self) -> BoardState | None:
        """The process now; None until the first is up."""
        try:
            return msgspec.json.decode(
                (self.folder / supervisor.STATE).read_bytes(), type=BoardState
            )
        except (OSError, msgspec.MsgspecError):
            return None

    @property
    def pid(self) -> int:
        """The process, which leads a group of its own. Another after each boot."""
        state = self.state
        if state is None:
            raise RuntimeError(f"{self.name} is not up")
        return state.pid

    @property
    def supervisor_pid(self) -> int:
        """The process that keeps it up."""
        return self._supervisor.pid

    @property
    def log(self) -> str:
        """All it has printed."""
        with contextlib.suppress(OSError):
            return (self.folder / supervisor.LOG).read_text("utf-8", errors="replace")
        return ""

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Until `ready()`, else it is closed; UserError with the log's last line when it died first or takes
        too long.
        """
        end = time.monotonic() + seconds
        try:
            while not ready():
                self._check_alive()
                if time.monotonic() > end:
                    words = self._last_words()
                    raise UserError(f"{self.name} did not start in {seconds:g} s: {words}")
                time.sleep(0.05)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it and all it has started, remove its files. Safe to call twice."""
        with contextlib.suppress(OSError):
            child_process.pipe(self._supervisor.stdin).close()
        try:
            self._supervisor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()  # which ends the command too
            self._supervisor.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _check_alive(self) -> None:
        """UserError when it has died, or has been started again."""
        state = self.state
        if self._supervisor.poll() is not None or (state is not None and state.boots > 1):
            raise UserError(f"{self.name} did not start: {self._last_words()}")

    def _last_words(self) -> str:
        return error_text.last_words(self.log) or "it said nothing"
