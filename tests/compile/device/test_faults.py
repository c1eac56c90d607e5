# SPDX-License-Identifier: Apache-2.0
"""A real tune over two virtual boards while they are killed and frozen, and the tracker with them."""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from compile.device import board as boards
from compile.device.board import Board
from compile.device.tracker import Tracker
from compile.journal import Journal, best_of_each
from compile.measure.options import DeviceOptions
from compile.measure.rpc import RpcMeasurer
from compile.trial import Trial
from compile.tuner import Options, tune
from targets import Target
from tests.compile import tuning_tasks

FAULTS = 30
KINDS = ("kill", "freeze", "session", "tracker")
QUICK = DeviceOptions(
    allow_emulated=True, run_timeout=2.0, probe_seconds=2.0, wait_seconds=3.0, transfer_timeout=6.0
)


class Gremlin(threading.Thread):
    """Does FAULTS faults, one a second or so: kills a board, a session or the tracker, or freezes a board."""

    def __init__(self, victims: list[Board], tracker: Tracker) -> None:
        super().__init__(daemon=True)
        self.victims, self.tracker = victims, tracker
        self.done: list[str] = []
        self.over = threading.Event()
        self._dice = random.Random(1)

    def run(self) -> None:
        while len(self.done) < FAULTS and not self.over.wait(self._dice.uniform(0.3, 1.5)):
            board = self._dice.choice(self.victims)
            kind = self._dice.choice(KINDS)
            try:
                self._harm(kind, board)
            except (ProcessLookupError, RuntimeError, IndexError):
                continue  # it was down already
            self.done.append(kind)

    def _harm(self, kind: str, board: Board) -> None:
        if kind == "kill":
            os.kill(board.pid, signal.SIGKILL)
        elif kind == "tracker":
            os.kill(self.tracker.pid, signal.SIGKILL)
        elif kind == "session":
            children = Path(f"/proc/{board.pid}/task/{board.pid}/children").read_text().split()
            os.kill(int(self._dice.choice(children)), signal.SIGKILL)
        else:
            group = board.pid
            os.killpg(group, signal.SIGSTOP)
            self.over.wait(6.0)
            os.killpg(group, signal.SIGCONT)


@pytest.mark.slow
def test_a_tune_outlives_thirty_faults(arm: Target, tracker: Tracker, tmp_path: Path) -> None:
    tasks = [tuning_tasks.pointwise_task(arm, inputs=32, size=size) for size in (7, 14)]
    every = {task.key: len(task.task.config_space) for task in tasks}
    path = tmp_path / "log.jsonl"
    with (
        boards.start_board(arm, tracker=tracker.address) as one,
        boards.start_board(arm, tracker=tracker.address) as two,
        Journal.open(path, exclusive=True, target=arm.tvm_target()) as journal,
        RpcMeasurer(arm, one.address, options=QUICK) as measurer,
    ):
        gremlin = Gremlin([one, two], tracker)
        gremlin.start()
        rounds = 0
        while gremlin.is_alive():
            # Everything anew each time, so that there is always something to disturb.
            options = Options(trials=sum(every.values()), tuner="random", force=True)
            tune(tasks, arm, journal, measurer, options=options)
            rounds += 1
        gremlin.join()
    assert len(gremlin.done) == FAULTS and set(gremlin.done) == set(KINDS)
    check(Journal.open(path, exclusive=False).trials, every, rounds)


def check(trials: Sequence[Trial], every: dict[str, int], rounds: int) -> None:
    """No fault is put down to a configuration, each has a named cause, and nothing is missing."""
    failed = [trial for trial in trials if trial.error is not None]
    assert failed
    assert {(trial.error, bool(trial.message)) for trial in failed} == {("device", True)}
    good = [trial for trial in trials if trial.error is None]
    assert all(trial.verified and trial.emulated and trial.costs for trial in good)
    for key, size in every.items():
        counts = Counter(trial.config.index for trial in good if trial.key == key)
        assert len(counts) == size
        assert max(counts.values()) <= rounds  # nothing is measured twice for one asking
    assert best_of_each(trials) == {}  # emulated: no use to a build
