# SPDX-License-Identifier: Apache-2.0
"""What a tuning says of itself: where it is, to whoever observes it, and what came of it in the end."""

from collections import Counter
from typing import Protocol

import msgspec

from mnc.compile.records.trial import Trial


class TuningProgress(msgspec.Struct, kw_only=True):
    """Where the tuning is. Rates are GFLOP/s, `seconds_left` an estimate (None: not known yet)."""

    tasks: int
    trials: int
    total: int
    task: str = ""
    number: int = 0
    task_trials: int = 0
    gflops: float | None = None
    best_gflops: float | None = None
    failures: Counter[str] = msgspec.field(default_factory=Counter)
    seconds_left: float | None = None


class Observer(Protocol):
    """Is told how it goes."""

    def on_batch(self, state: TuningProgress) -> None:
        """A task's next batch begins."""
        ...

    def on_trial(self, state: TuningProgress, trial: Trial) -> None:
        """A trial is known and in the log."""
        ...


class TaskOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A task's standing at the end: `cost` is the best, in seconds a call."""

    key: str
    kind: str
    shape: str
    trials: int
    new: int
    cost: float | None
    gflops: float | None


class TuningSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a call of `tune` did: trials made now, seconds taken, failures by kind, every task."""

    trials: int
    seconds: float
    failures: dict[str, int]
    tasks: tuple[TaskOutcome, ...]
