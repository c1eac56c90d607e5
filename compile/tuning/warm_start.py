# SPDX-License-Identifier: Apache-2.0
"""Configs worth trying first: the best that another measurer, or a tune for another target, has found.

Takes trials whose costs are no measure here (another core model's, another device's); gives configs of a
task's own space. A changed model, or a board like one that is known, need not search from nothing.
"""

from collections.abc import Iterable
from typing import Any

from mnc.compile.records.ranking import current
from mnc.compile.records.trial import Trial

SOME = 4  # of each task
MOST = 8  # of each task, from several sources


def from_several(task: Any, groups: Iterable[Iterable[Trial]]) -> list[Any]:
    """Up to MOST of what each group of trials found best, the first group's first."""
    found: list[Any] = []
    for group in groups:
        known = {config.index for config in found}
        found += [config for config in warm_start(task, group) if config.index not in known]
    return found[:MOST]


def warm_start(task: Any, trials: Iterable[Trial], *, count: int = SOME) -> list[Any]:
    """Up to `count` ConfigEntities of the autotvm Task `task`, best first, by the measurer used last."""
    known = [trial for trial in current(trials, task) if trial.error is None and not trial.emulated]
    newest = max(known, key=lambda trial: trial.when, default=None)
    if newest is None:
        return []
    ours = {t.config.index: t for t in known if t.measurer == newest.measurer}
    ordered = sorted(ours.values(), key=lambda trial: trial.cost)
    return [task.config_space.get(trial.config.index) for trial in ordered[:count]]
