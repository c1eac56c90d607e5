# SPDX-License-Identifier: Apache-2.0
"""Which configs are tried inside the real network, in which networks, and what came of each.

Takes trials of kernels timed alone; gives networks as the trials to build them with, and, from the times of
their layers, trials that say "in-network".
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.ranking import current, ranked
from mnc.compile.records.trial import Trial, task_key
from mnc.compile.runtime.layers import Layer
from mnc.compile.templates.workload import replaced
from mnc.compile.tuning.options import RerankOptions

Best = Mapping[str, Sequence[Trial]]  # each task's rerank_candidates, the best alone first
Samples = dict[str, dict[int, list[float]]]  # seconds a call, by task and config index


def rerank_candidates(
    trials: Iterable[Trial], found: Sequence[TunableTask], threads: int, options: RerankOptions
) -> dict[str, list[Trial]]:
    """The best trials of each task that were timed alone on `threads` threads, the best first. Tasks
    without any are left out, and fused ones that are far behind their parts.
    """
    trials = list(trials)
    best = {task.key: _best(trials, task, threads, options) for task in found}
    for task in found:
        parts = _parts(task)
        if parts and best[task.key] and all(best.get(part) for part in parts):
            apart = sum(best[part][0].cost for part in parts)
            if best[task.key][0].cost > options.within * apart:
                best[task.key] = []
    return {key: some for key, some in best.items() if some}


def networks(best: Best, found: Sequence[TunableTask]) -> list[list[Trial]]:
    """What each network is built with: number i has every task's i-th best, or again its best where there are
    fewer. First come those in which no pair is fused, then those in which all are that have records.
    """
    fused = {task.key: _parts(task) for task in found if task.key in best and _parts(task)}
    parts = {part for pair in fused.values() for part in pair}
    apart = {key: some for key, some in best.items() if key not in fused}
    together = {key: some for key, some in best.items() if key not in parts}
    return [*_places(apart), *(_places(together) if fused else ())]


def samples(
    layers: Sequence[Layer],
    runs: Sequence[Sequence[float]],
    used: Mapping[str, Trial],
) -> Samples:
    """Of one network: seconds a call of each task in each of the `runs`."""
    columns: dict[str, list[int]] = {}
    for number, layer in enumerate(layers):
        if layer.key is not None and layer.key in used:
            columns.setdefault(layer.key, []).append(number)
    return {
        key: {used[key].config.index: _a_call([[run[i] for run in runs] for i in some])}
        for key, some in columns.items()
    }


def _a_call(calls: Sequence[Sequence[float]]) -> list[float]:
    """The samples of all calls of a kernel, each call's moved so that its median is the mean of the calls'
    medians: calls differ in what the caches hold, and a disturbance of one says nothing of the others.
    """
    medians = [statistics.median(call) for call in calls]
    mean = statistics.mean(medians)
    return [
        max(seconds - median + mean, 0.1 * mean)
        for call, median in zip(calls, medians, strict=True)
        for seconds in call
    ]


def merged(several: Iterable[Samples]) -> Samples:
    """The samples of several networks."""
    all_of_them: Samples = {}
    for one in several:
        for key, by_index in one.items():
            for index, seconds in by_index.items():
                all_of_them.setdefault(key, {}).setdefault(index, []).extend(seconds)
    return all_of_them


def trials(best: Best, found: Samples, *, measurer: str, when: float) -> Iterator[Trial]:
    """In-network trials of the rerank_candidates with samples, all dated `when`."""
    for key, by_index in found.items():
        for source in best[key]:
            seconds = sorted(by_index.get(source.config.index, ()))
            if seconds:
                cut = len(seconds) // 4  # the middle half, as measurers keep it
                yield msgspec.structs.replace(
                    source,
                    costs=tuple(seconds[cut : len(seconds) - cut]),
                    when=when,
                    measurer=measurer,
                    seconds=sum(seconds),
                )


def _best(
    trials: Sequence[Trial], task: TunableTask, threads: int, options: RerankOptions
) -> list[Trial]:
    last = {
        trial.config.index: trial
        for trial in current((one for one in trials if one.key == task.key), task.task)
        if trial.threads == threads
        and trial.error != "device"
        and not (trial.in_network or trial.simulated or trial.emulated)
    }
    order = ranked(last.values())
    return [one for one in order if one.cost <= options.within * order[0].cost][: options.keep]


def _places(best: Best) -> list[list[Trial]]:
    count = max(map(len, best.values()), default=0)
    return [
        [some[place] if place < len(some) else some[0] for some in best.values()]
        for place in range(count)
    ]


def _parts(task: TunableTask) -> tuple[str, ...]:
    """Keys of the tasks that a fused one takes the place of; () for any other."""
    return tuple(task_key(*part) for part in replaced(task.task.name, task.task.args))
