# SPDX-License-Identifier: Apache-2.0
"""Sessions used by many threads at once: each golden input in each session, 50 times, none disturbed by
another.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tests.compile.conftest import Tiny

TIMES = 50


class Runs(Protocol):
    """A session of either runtime."""

    def run(self, *inputs: np.ndarray) -> Sequence[np.ndarray]: ...


def check_undisturbed(sessions: Sequence[Runs], tiny: Tiny) -> None:
    """Every output of every thread is the golden one."""
    wrong: list[float] = []

    def work(session: Runs, x: np.ndarray, wanted: np.ndarray) -> None:
        wrong.extend(float(np.abs(session.run(x)[0] - wanted).max()) for _ in range(TIMES))

    pairs = zip(tiny.golden.inputs[0], tiny.golden.outputs[0], strict=True)
    workers = [
        threading.Thread(target=work, args=(session, x, wanted))
        for x, wanted in pairs
        for session in sessions
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(wrong) == TIMES * len(workers)
    assert max(wrong) < 1e-5
