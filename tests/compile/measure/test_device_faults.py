# SPDX-License-Identifier: Apache-2.0
"""A real tune over two virtual boards while they are killed and frozen, and the tracker with them."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from mnc.compile.measure.options import RpcOptions
from mnc.compile.measure.rpc import RpcMeasurer
from mnc.compile.records.ranking import best_of_each
from mnc.compile.records.trial import Trial
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.rpc import board as boards
from mnc.compile.rpc.board import Board
from mnc.compile.rpc.tracker import Tracker
from mnc.compile.tuning.options import SearchOptions
from mnc.compile.tuning.tuner import tune
from mnc.targets import Target
from tests.compile import tuning_tasks

KINDS = ["kill"] * 12 + ["session"] * 10 + ["freeze"] * 4 + ["tracker"] * 4
FREEZE_SECONDS = 6.0  # more than QUICK lets a kernel and then a lost device take
QUICK = RpcOptions(
    allow_emulated=True, run_timeout=2.0, probe_seconds=2.0, wait_seconds=3.0, transfer_timeout=6.0
)


class Gremlin(threading.Thread):
    """Does every fault of KINDS in a random order, each to a board that is at work, after new trials."""

    def __init__(self, boards: list[Board], tracker: Tracker, tuning_log: TuningLog) -> None:
        super().__init__(daemon=True)
        self.boards, self.tracker, self.tuning_log = boards, tracker, tuning_log
        self.done: list[str] = []
        self._dice = random.Random(1)

    def run(self) -> None:
        for kind in self._dice.sample(KINDS, len(KINDS)):
            self._wait_for_trials(2)
            while not self._harm(kind):
                time.sleep(0.01)
            self.done.append(kind)

    def _wait_for_trials(self, count: int) -> None:
        known = len(self.tuning_log.trials)
        while len(self.tuning_log.trials) < known + count:
            time.sleep(0.01)
        time.sleep(self._dice.uniform(0, 0.1))

    def _harm(self, kind: str) -> bool:
        if kind == "tracker":
            os.kill(self.tracker.pid, signal.SIGKILL)
            return True
        board = self._dice.choice(self.boards)
        try:
            server = board.pid
            (session,) = Path(f"/proc/{server}/task/{server}/children").read_text().split()
            if kind == "freeze":
                os.killpg(server, signal.SIGSTOP)
                time.sleep(FREEZE_SECONDS)
                os.killpg(server, signal.SIGCONT)
            else:
                os.kill(server if kind == "kill" else int(session), signal.SIGKILL)
        except (OSError, ValueError):
            return False  # that board is down, or has no session at the moment
        return True


@pytest.mark.slow
@pytest.mark.alone
def test_a_tune_outlives_thirty_faults(arm: Target, tracker: Tracker, tmp_path: Path) -> None:
    tasks = [tuning_tasks.pointwise_task(arm, inputs=32, size=size) for size in (7, 14)]
    every = {task.key: len(task.task.config_space) for task in tasks}
    path = tmp_path / "log.jsonl"
    with (
        boards.start_board(arm, tracker=tracker.address) as one,
        boards.start_board(arm, tracker=tracker.address) as two,
        TuningLog.open(path, exclusive=True, target=arm.tvm_target()) as tuning_log,
        RpcMeasurer(arm, one.address, options=QUICK) as measurer,
    ):
        gremlin = Gremlin([one, two], tracker, tuning_log)
        gremlin.start()
        rounds = 0
        while gremlin.is_alive():
            # Everything anew each time, so that there is always something to disturb.
            options = SearchOptions(trials=sum(every.values()), tuner="random", force=True)
            tune(tasks, arm, tuning_log, measurer, options=options)
            rounds += 1
        gremlin.join()
    assert sorted(gremlin.done) == sorted(KINDS)
    check(TuningLog.open(path, exclusive=False).trials, every, rounds)


def check(trials: Sequence[Trial], every: dict[str, int], rounds: int) -> None:
    """No fault is put down to a configuration, each has a named cause, and nothing is missing."""
    failed = [trial for trial in trials if trial.error is not None]
    assert len(failed) >= len(KINDS) // 3  # others met a board between two trials, or the tracker
    assert {(trial.error, bool(trial.message)) for trial in failed} == {("device", True)}
    good = [trial for trial in trials if trial.error is None]
    assert all(trial.verified and trial.emulated and trial.costs for trial in good)
    for key, size in every.items():
        counts = Counter(trial.config.index for trial in good if trial.key == key)
        assert len(counts) == size
        assert max(counts.values()) <= rounds  # nothing is measured twice for one asking
    assert best_of_each(trials) == {}  # emulated: no use to a build
