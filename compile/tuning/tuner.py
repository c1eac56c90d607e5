# SPDX-License-Identifier: Apache-2.0
"""Tunes a network's tasks: spreads the budget, searches, measures, and logs every trial at once.

Takes tasks, an open log and a Measurer; gives a TuningSummary. Stopped at any instant and called again
with the same log, it goes on where it was: the log is all its memory.
"""

import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mnc.compile.measure.measurer import Measurer
from mnc.compile.records.ranking import current
from mnc.compile.records.trial import Trial, task_key
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.budget import Standing, allowances, choose, guess_seconds
from mnc.compile.tuning.options import PATIENCE, TRIALS_PER_TASK, TUNERS, SearchOptions
from mnc.compile.tuning.progress import (
    Observer,
    TaskOutcome,
    TuningProgress,
    TuningSummary,
    simulated_total,
)
from mnc.compile.tuning.search import Search, as_pair
from mnc.compile.tuning.transfer import Transfer
from mnc.compile.tuning.warm_start import from_several
from mnc.support.errors import UserError
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask

YOUNG = 32  # own trials, from which on other networks teach nothing new


def tune(
    tasks: Sequence["TunableTask"],
    target: Target,
    tuning_log: TuningLog,
    measurer: Measurer,
    *,
    options: SearchOptions | None = None,
    observer: Observer | None = None,
    transfer: Iterable[Trial] = (),
    examples: Iterable[Sequence[Trial]] = (),
    peak_gflops: float | None = None,
) -> TuningSummary:
    """Spend the budget on `tasks`. `tuning_log` must be open for adding. `transfer` are trials of other
    networks by the same measurer: a task starts from what similar shapes among them teach. `examples` are
    groups of trials for other targets, one a target: their best configs of the same tasks are tried first, as
    those of other measurers in the log are. `peak_gflops` is for the observer to compare with.

    Ctrl-C passes through: what is known is in the log by then. Raises UserError for an unknown
    tuner or when a task is not for `target`.
    """
    chosen = options or SearchOptions()
    _check(tasks, target, chosen)
    tuning = _Tuning(tasks, tuning_log, measurer, chosen, Transfer(transfer), tuple(examples))
    tuning.state.peak_gflops = peak_gflops
    return tuning.run(observer or Observer())


def _check(tasks: Sequence["TunableTask"], target: Target, options: SearchOptions) -> None:
    if options.tuner not in TUNERS:
        raise UserError(f"unknown tuner {options.tuner!r}; choose one of {', '.join(TUNERS)}")
    if options.trials is not None and options.trials < 0:
        raise UserError(f"{options.trials} trials cannot be made; give 0 or more")
    for task in tasks:
        if str(task.task.target.attrs.get("model", "")) != target.model:
            raise UserError(
                f"task {task.shape} was extracted for {task.task.target}, not for {target.name}; "
                "extract the tasks with the target they are tuned for"
            )


class _Progress:
    """One task while it is tuned: its search, made when first needed, and its best cost."""

    def __init__(self, task: "TunableTask", known: list[Trial]) -> None:
        self.task = task
        self.key = task_key(task.task.name, task.task.args)
        self.space = len(task.task.config_space)
        self.known = known
        self.done = len({trial.config.index for trial in known if trial.error != "device"})
        self.new = 0
        self.search: Search | None = None
        self.cost = min((trial.cost for trial in known), default=math.inf)

    @property
    def patience(self) -> int:
        """How many more trials may bring nothing better than the best."""
        costs = [trial.cost for trial in self.known if trial.error != "device"]
        return PATIENCE - (len(costs) - 1 - costs.index(min(costs)) if costs else 0)

    @property
    def standing(self) -> Standing:
        guess = guess_seconds(self.task.macs, self.task.task.args)
        seconds = self.cost if math.isfinite(self.cost) else guess
        return Standing(
            key=self.key, seconds=seconds * self.task.calls, done=self.done, space=self.space
        )

    def add(self, trial: Trial) -> None:
        self.known.append(trial)
        self.new += 1
        self.done += trial.error != "device"  # which says nothing of the configuration
        self.cost = min(self.cost, trial.cost)

    def gflops(self, cost: float) -> float | None:
        return 2 * self.task.macs / cost / 1e9 if math.isfinite(cost) and cost > 0 else None

    def outcome(self) -> TaskOutcome:
        return TaskOutcome(
            key=self.key,
            kind=self.task.kind,
            shape=self.task.shape,
            calls=self.task.calls,
            trials=self.done,
            new=self.new,
            cost=self.cost if math.isfinite(self.cost) else None,
            gflops=self.gflops(self.cost),
        )


class _Tuning:
    def __init__(
        self,
        tasks: Sequence["TunableTask"],
        tuning_log: TuningLog,
        measurer: Measurer,
        options: SearchOptions,
        transfer: Transfer,
        examples: tuple[Sequence[Trial], ...],
    ) -> None:
        self.tuning_log, self.measurer, self.options = tuning_log, measurer, options
        self.transfer, self.examples = transfer, examples
        # Costs made in another way (threads, device, version) are no measure of these.
        comparable = [t for t in tuning_log.trials if t.measurer == measurer.describe()]
        usable = [] if options.force else comparable
        self.progress = {
            one.key: one for one in (_Progress(t, current(usable, t.task)) for t in tasks)
        }
        self.total = TRIALS_PER_TASK * len(tasks) if options.trials is None else options.trials
        self.total = min(self.total, sum(one.space for one in self.progress.values()))
        for one in self.progress.values():
            self._settle(one)
        self.started = time.monotonic()
        spent = sum(one.done for one in self.progress.values())
        self.state = TuningProgress(tasks=len(tasks), trials=spent, total=max(self.total, spent))

    def run(self, observer: Observer) -> TuningSummary:
        observer.on_start(self.state)
        while not self._is_over and (key := self._next()) is not None:
            self._batch(self.progress[key], observer)
        outcomes = tuple(one.outcome() for one in self.progress.values())
        summary = TuningSummary(
            trials=self._made(),
            seconds=time.monotonic() - self.started,
            failures=dict(self.state.failures),
            tasks=outcomes,
            simulated=simulated_total(outcomes, self.measurer.describe()),
        )
        observer.on_end(summary)
        return summary

    @property
    def _is_over(self) -> bool:
        limit = self.options.seconds
        return limit is not None and time.monotonic() - self.started > limit

    @property
    def _most(self) -> int:
        """Trials in a batch; where time may run out, no task has a second before each has had its first."""
        batch = self.measurer.batch
        return batch if self.options.seconds is None else min(batch, self.options.floor)

    def _next(self) -> str | None:
        standings = [one.standing for one in self.progress.values()]
        return choose(standings, total=self.total, floor=self.options.floor)

    def _batch(self, one: _Progress, observer: Observer) -> None:
        if one.search is None:
            tuner, first = self.options.tuner, self._first(one.task.task)
            one.search = Search(one.task.task, tuner=tuner, known=one.known, first=first)
        one.search.learn_from(self._similar(one))
        count = min(self._most, self._allowed(one), self.total - self.state.trials)
        self._begin(one)
        observer.on_batch(self.state)
        made: list[Trial] = []
        configs = one.search.ask(count)
        if not configs:
            one.space = one.done  # the tuner has nothing more to offer
        for trial in self.measurer.measure(one.task, configs):
            self.tuning_log.append(trial)
            made.append(trial)
            self._count(one, trial)
            observer.on_trial(self.state, trial)
        one.search.tell(made)
        self._settle(one)

    def _settle(self, one: _Progress) -> None:
        """A task that no longer gets better is over, where nobody named a budget."""
        if self.options.trials is None and one.done >= self.options.floor and one.patience <= 0:
            one.space = one.done

    def _allowed(self, one: _Progress) -> int:
        """What is left of the task's share of the budget, so that the others still get their floors."""
        standings = [other.standing for other in self.progress.values()]
        given = allowances(standings, total=self.total, floor=self.options.floor)
        floor = min(self.options.floor, self.total // len(standings))
        others = [other for other in self.progress.values() if other is not one]
        reserved = sum(max(0, min(floor, other.space) - other.done) for other in others)
        left = self.total - self.state.trials - reserved
        if self.options.trials is None and one.done >= self.options.floor:
            left = min(left, one.patience)
        return max(1, min(given[one.key] - one.done, one.space - one.done, left))

    def _first(self, task: Any) -> list[Any]:
        """Configs that others found best."""
        name = self.measurer.describe()
        others = [trial for trial in self.tuning_log.trials if trial.measurer != name]
        return from_several(task, [others, *self.examples])

    def _similar(self, one: _Progress) -> list[tuple[Any, Any]]:
        """What tasks of the same template have taught, as AutoTVM's pairs; other networks' while the task's
        own trials are few.
        """
        elsewhere = self.transfer.pairs(one.task.task) if one.done < YOUNG else []
        return elsewhere + [
            as_pair(other.task.task, trial)
            for other in self.progress.values()
            if other is not one and other.task.task.name == one.task.task.name
            for trial in other.known
            if trial.error != "device"
        ]

    def _made(self) -> int:
        return sum(one.new for one in self.progress.values())

    def _begin(self, one: _Progress) -> None:
        self.state.task = f"{one.task.kind} {one.task.shape}"
        self.state.number = 1 + list(self.progress).index(one.key)
        self.state.task_trials = one.done
        self.state.gflops, self.state.best_gflops = None, one.gflops(one.cost)

    def _count(self, one: _Progress, trial: Trial) -> None:
        one.add(trial)
        state = self.state
        state.trials = sum(other.done for other in self.progress.values())
        state.task_trials = one.done
        state.gflops, state.best_gflops = one.gflops(trial.cost), one.gflops(one.cost)
        if trial.error is not None:
            state.failures[trial.error] += 1
        rate = self._made() / (time.monotonic() - self.started)
        state.seconds_left = max(0, self.total - state.trials) / rate
