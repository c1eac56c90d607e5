# SPDX-License-Identifier: Apache-2.0
"""What a tuning says of itself: where it is, to whoever observes it, and what came of it in the end."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from mnc.compile.records.family_choice import Choice
from mnc.compile.records.trial import Trial
from mnc.compile.simulator.totals import Total, total_by
from mnc.compile.tuning.rerank_summary import RerankSummary


class TuningProgress(msgspec.Struct, kw_only=True):
    """Where the search is. Rates are GFLOP/s, `peak_gflops` what the cores of a kernel can do at most,
    `seconds_left` an estimate. None: not known, or not yet.
    """

    tasks: int
    trials: int
    total: int
    task: str = ""
    number: int = 0
    task_trials: int = 0
    gflops: float | None = None
    best_gflops: float | None = None
    peak_gflops: float | None = None
    failures: Counter[str] = msgspec.field(default_factory=Counter)
    seconds_left: float | None = None


class TaskOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A task's standing at the end: `cost` is the best, in seconds a call, of `calls` in the network."""

    key: str
    kind: str
    shape: str
    calls: int
    trials: int
    new: int
    cost: float | None
    gflops: float | None


class TuningSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a call of `tune` did: trials made now, seconds that the search took, failures by kind, every task.

    `simulated` is what its tasks, fused pairs aside, take in an inference by a core model's costs.
    `reranked` is what came of trying configs in the network, or `rerank_failure` why that could not be done;
    `family` is the choice among families of kernels, where they were timed.
    """

    trials: int
    seconds: float
    failures: dict[str, int]
    tasks: tuple[TaskOutcome, ...]
    simulated: Total | None = None
    reranked: RerankSummary | None = None
    rerank_failure: str = ""
    family: Choice | None = None


def simulated_total(tasks: Sequence[TaskOutcome], measurer: str) -> Total | None:
    """What `tasks`, fused pairs aside, take in an inference; None where one has no cost, or the `measurer` is
    no core model.
    """
    ours = [task for task in tasks if task.kind != "fused"]
    if not ours or any(task.cost is None for task in ours):
        return None
    return total_by(measurer, sum((task.cost or 0.0) * task.calls for task in ours))


class Observer:
    """Is told how a search goes, and does nothing about it: override what is wanted."""

    def on_start(self, state: TuningProgress) -> None:
        """The search begins."""

    def on_batch(self, state: TuningProgress) -> None:
        """A task's next batch begins."""

    def on_trial(self, state: TuningProgress, trial: Trial) -> None:
        """A trial is known and in the log."""

    def on_end(self, summary: TuningSummary) -> None:
        """The search has ended; what else belongs to a tuning comes next."""
