# SPDX-License-Identifier: Apache-2.0
"""Replays the search against the costs that a log recorded: how soon it comes near the best, and whether what
other tasks taught helps. No kernel runs, so the same log gives the same answer on any machine.

Takes trials that cover nearly whole spaces; gives `Replay`s. Run as `python -m bench.search_replay LOG ...`.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mnc.compile.frontend.tasks import TunableTask, from_workload
from mnc.compile.records.ranking import current
from mnc.compile.records.trial import Trial
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.search import Search
from mnc.compile.tuning.transfer import Transfer

BATCH = 16  # as `mnc.compile.measure.local` asks for
COVERED = 0.8  # of a space must be on record for its best to be called known
WAYS = ("transfer", "elsewhere", "alone", "random")


class Recorded(msgspec.Struct, frozen=True):
    """A task, the log it is from, and its trials by config index."""

    log: str
    task: TunableTask
    trials: dict[int, Trial]

    @property
    def best(self) -> float:
        """Seconds of the best."""
        return min(trial.cost for trial in self.trials.values())


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One search of one task: `reached` is the best cost known over the best so far, after each trial."""

    key: str
    kind: str
    shape: str
    way: str
    reached: tuple[float, ...]

    def after(self, trials: int) -> float:
        """After so many trials, or all there are."""
        return self.reached[min(trials, len(self.reached)) - 1]


def recorded(log: str, trials: Iterable[Trial], target: Any) -> list[Recorded]:
    """The tasks that the trials cover well enough, by the measurer that made most of them alone."""
    groups: dict[tuple[str, str, int], list[Trial]] = {}
    for trial in trials:
        if trial.error != "device" and not (trial.in_network or trial.simulated):
            groups.setdefault((trial.key, trial.measurer, trial.threads), []).append(trial)
    largest: dict[str, list[Trial]] = {}
    for (key, _, _), group in groups.items():
        largest[key] = max(largest.get(key, []), group, key=len)
    found = []
    for group in largest.values():
        task = from_workload(group[0].name, group[0].args, target, calls=1)
        known = {trial.config.index: trial for trial in current(group, task.task)}
        works = any(trial.error is None for trial in known.values())
        if works and len(known) >= COVERED * len(task.task.config_space):
            found.append(Recorded(log, task, known))
    return found


def replay(
    one: Recorded, others: Sequence[Recorded], *, way: str, budget: int, seed: int
) -> Replay:
    """Search the task again, for at most `budget` trials. "transfer" learns from the `others` of its log
    first, as the tuner does while it tunes a network; "elsewhere" from those of other logs, as it does for
    a new network; "alone" from none; "random" does not learn at all.
    """
    np.random.seed(seed)  # AutoTVM's spaces draw from it
    search = Search(one.task.task, tuner="random" if way == "random" else "xgb")
    pairs = _pairs(one, others, way)
    reached: list[float] = []
    best = np.inf
    while len(reached) < min(budget, len(one.trials)):
        search.learn_from(pairs)
        asked = [config.index for config in search.ask(BATCH)]
        made = [one.trials[index] for index in asked if index in one.trials]
        for trial in made[: budget - len(reached)]:
            best = min(best, trial.cost)
            reached.append(one.best / best)
        if not asked:
            break
        search.tell(made)
    task = one.task
    return Replay(key=task.key, kind=task.kind, shape=task.shape, way=way, reached=tuple(reached))


def _pairs(one: Recorded, others: Sequence[Recorded], way: str) -> list[tuple[Any, Any]]:
    if way not in ("transfer", "elsewhere"):
        return []
    chosen = [
        other
        for other in others
        if other.task.key != one.task.key and (other.log == one.log) == (way == "transfer")
    ]
    transfer = Transfer(trial for other in chosen for trial in other.trials.values())
    return transfer.pairs(one.task.task)


def main(paths: Sequence[Path], *, budget: int = 64, seeds: int = 5) -> None:
    """Print, for each way and budget, the mean and the worst of all tasks, and how many came within 5 %."""
    import tvm

    everything: list[Recorded] = []
    for path in paths:
        trials = TuningLog.open(path, exclusive=False).trials
        everything += recorded(path.stem, trials, tvm.target.Target(trials[0].target))
    print(f"{len(everything)} tasks, {sum(len(one.trials) for one in everything)} recorded configs")
    print("way       trials   mean   worst  within 5 %")
    for way in WAYS if len(paths) > 1 else [way for way in WAYS if way != "elsewhere"]:
        runs = [
            replay(one, everything, way=way, budget=budget, seed=seed)
            for one in everything
            for seed in range(seeds)
        ]
        for count in (4, 8, 16, 32, 64):
            shares = [run.after(count) for run in runs]
            near = sum(share >= 0.95 for share in shares) / len(shares)
            print(
                f"{way:9} {count:6} {np.mean(shares):6.3f} {min(shares):7.3f} {near:10.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
