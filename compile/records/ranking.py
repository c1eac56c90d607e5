# SPDX-License-Identifier: Apache-2.0
"""Which trial of a task a build takes, and what a log says of each task.

Takes trials, in a log's order; gives the current, the ranked, the best of them. Costs of different kinds
(devices, models of cores, alone or in the network, threads) are never compared by number.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from mnc.compile.records.trial import IN_NETWORK, Config, Trial, task_key

# By index, thread count and how it came about (`_origin`): none hides a trial of another origin.
_ByConfig = dict[tuple[int, int, str], Trial]


class TaskSummary(msgspec.Struct, frozen=True):
    """What the log holds of one task: configs tried, those that failed by kind, the best one."""

    key: str
    trials: int
    failures: dict[str, int]
    best: Trial | None


def measured(trials: Iterable[Trial], key: str) -> set[int]:
    """Indices of the configs of task `key` that were tried, failures included."""
    return {index for index, _, _ in _latest(trials, key)}


def best(trials: Iterable[Trial], key: str) -> Trial | None:
    """The verified trial of task `key` that a build should use: the first of the `ranked`. A config's last
    trial counts.

    Costs of different thread counts are not comparable: of several, the lowest count's are used.
    So filter by `threads` first to have another's.
    """
    return next(iter(ranked(_latest(trials, key).values())), None)


def best_of_each(
    trials: Iterable[Trial], *, accept: Callable[[Trial], bool] = lambda trial: True
) -> dict[str, Trial]:
    """`best` for every task that has one, in one pass, of the trials that `accept` takes."""
    found = {}
    for key, group in _latest_by_task(trials).items():
        trial = next(filter(accept, ranked(group.values())), None)
        if trial is not None:
            found[key] = trial
    return found


def current(trials: Iterable[Trial], task: Any) -> list[Trial]:
    """Trials of the autotvm Task `task` whose config is what its space now has at that index.

    A template that has changed since makes old indices mean something else.
    """
    key = task_key(task.name, task.args)
    space = task.config_space
    known: dict[int, tuple[Any, ...]] = {}
    kept = []
    for trial in trials:
        # len(space) counts the valid indices only; they lie anywhere below range_length.
        if trial.key != key or not 0 <= trial.config.index < space.range_length:
            continue
        if not space.is_index_valid(trial.config.index):
            continue
        index = trial.config.index
        if index not in known:
            known[index] = Config.of(space.get(index)).knobs()
        with contextlib.suppress(ValueError):
            if trial.config.knobs() == known[index]:
                kept.append(trial)
    return kept


def summary(trials: Iterable[Trial]) -> tuple[TaskSummary, ...]:
    """One TaskSummary a task, in the order in which the log first names them."""
    return tuple(
        TaskSummary(
            key=key,
            trials=len({index for index, _, _ in latest}),
            failures=dict(Counter(t.error for t in latest.values() if t.error is not None)),
            best=next(iter(ranked(latest.values())), None),
        )
        for key, latest in _latest_by_task(trials).items()
    )


def reranking_due(trials: Iterable[Trial], *, threads: int) -> bool:
    """Whether a device timed kernels alone, on `threads` threads, after the last in the network: the log
    says so whoever added them, and whatever killed what was to come after.
    """
    due = False
    for trial in trials:
        if trial.threads == threads and trial.error is None:
            alone = trial.verified and not (trial.in_network or trial.simulated or trial.emulated)
            due = not trial.in_network and (due or alone)
    return due


def _latest(trials: Iterable[Trial], key: str) -> _ByConfig:
    return _latest_by_task(trial for trial in trials if trial.key == key).get(key, {})


def _latest_by_task(trials: Iterable[Trial]) -> dict[str, _ByConfig]:
    """The last trial of each config; one that failed with its device, or was emulated, measured nothing."""
    groups: dict[str, _ByConfig] = {}
    for trial in trials:
        if trial.error != "device" and not trial.emulated:
            identity = trial.config.index, trial.threads, _origin(trial)
            groups.setdefault(trial.key, {})[identity] = trial
    return groups


def _origin(trial: Trial) -> str:
    """What a trial's cost compares with: others of its model, in the network, or alone on the device."""
    if trial.simulated:
        return trial.measurer
    return IN_NETWORK if trial.in_network else ""


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """The verified trials of one task, in the order in which a build would take them.

    A device's go before a model's of it. Of a device's only those of the fewest threads count, and what the
    latest reranking in the network timed goes before all that was timed alone: its costs are of another kind,
    with the network's caches and neighbours. Of several models, the last one used counts.
    """
    usable = [trial for trial in trials if trial.verified and trial.error is None]
    real = _fewest_threads([trial for trial in usable if not trial.simulated])
    reranking = max((trial.when for trial in real if trial.in_network), default=None)
    inside = [trial for trial in real if trial.in_network and trial.when == reranking]
    alone = [trial for trial in real if not trial.in_network]
    simulated = [trial for trial in usable if trial.simulated]
    newest = max(simulated, key=lambda trial: trial.when, default=None)
    modelled = [one for one in simulated if newest and one.measurer == newest.measurer]
    groups = (inside, alone, _fewest_threads(modelled))
    return [trial for group in groups for trial in sorted(group, key=lambda one: one.cost)]


def _fewest_threads(trials: list[Trial]) -> list[Trial]:
    fewest = min((trial.threads for trial in trials), default=1)
    return [trial for trial in trials if trial.threads == fewest]
