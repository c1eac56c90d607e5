# SPDX-License-Identifier: Apache-2.0
"""What other networks' logs teach: trials of similar shapes, for the cost model to start from.

Takes trials of one device by one measurer; gives for a task AutoTVM's pairs of the most similar tasks of its
template whose configs still mean what they meant.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mnc.compile.frontend.tasks import TunableTask, from_workload
from mnc.compile.records.paths import committed
from mnc.compile.records.ranking import current
from mnc.compile.records.trial import Trial
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.cost_model import shape_features
from mnc.compile.tuning.search import as_pair
from mnc.support.errors import UserError

MOST = 600  # trials: more of less similar tasks teach little and slow every fit


class Transfer:
    """Trials to learn from, grouped by task."""

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
        self._by_key: dict[str, list[Trial]] = {}
        for trial in trials:
            if trial.error != "device":
                self._by_key.setdefault(trial.key, []).append(trial)
        self._known: dict[str, tuple[TunableTask, list[Trial]]] = {}

    def pairs(self, task: Any) -> list[tuple[Any, Any]]:
        """(MeasureInput, MeasureResult) of tasks like the autotvm Task `task`, the most similar first."""
        shape = shape_features(task.args)
        alike = sorted(
            (_distance(shape, shape_features(trials[0].args)), key)
            for key, trials in self._by_key.items()
            if trials[0].name == task.name
        )
        found: list[tuple[Any, Any]] = []
        for _, key in alike:
            if len(found) < MOST:
                other, trials = self._current(key, task.target)
                found += [as_pair(other.task, trial) for trial in trials]
        return found[:MOST]

    def _current(self, key: str, target: Any) -> tuple[TunableTask, list[Trial]]:
        if key not in self._known:
            trials = self._by_key[key]
            other = from_workload(trials[0].name, trials[0].args, target, calls=1)
            last = {trial.config.index: trial for trial in current(trials, other.task)}
            self._known[key] = other, list(last.values())
        return self._known[key]


def of_other_logs(log: Path, target: str, measurer: str) -> list[Trial]:
    """The trials by `measurer` in the logs beside `log`, for the same `-model`. What cannot be read teaches
    nothing.
    """
    folders = [known.parent for known in (committed(log), log) if known is not None]
    names = {path.name for folder in folders for path in folder.glob("*.jsonl")}
    found: list[Trial] = []
    for name in sorted(names - {log.name}):
        try:
            trials = TuningLog.open(log.with_name(name), exclusive=False, target=target).trials
        except UserError:
            continue
        found += [trial for trial in trials if trial.measurer == measurer]
    return found


def _distance(one: list[float], other: list[float]) -> float:
    """How unlike two shapes are: the sum of the ratios of their numbers, as powers of two. What padding reads
    may be below zero.
    """
    if len(one) != len(other):
        return math.inf
    pairs = zip(one, other, strict=True)
    return sum(abs(math.log2(1 + abs(a)) - math.log2(1 + abs(b))) for a, b in pairs)
