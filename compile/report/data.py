# SPDX-License-Identifier: Apache-2.0
"""What a report holds: plain frozen values, gathered by `collect`, written down by `page`.

Times are seconds, rates GFLOP/s (a multiply-add counts two) and GB/s. None: not measured.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mnc.compile.machine.roofs import Roof
from mnc.compile.simulator.totals import Total
from mnc.model.half_precision import report as half_precision

BUDGETS = (8, 16, 32, 64)  # trials a task, at which the search is judged
NEAR = 0.95  # of the best rate known


@dataclass(frozen=True)
class Row:
    """A layer of the network, or a task of it where only the log's costs are known."""

    kind: str
    shape: str
    macs: int
    traffic: int
    calls: int
    seconds: float | None
    bound: float | None
    tuned: bool | None = None
    is_transform: bool = False

    @property
    def gflops(self) -> float | None:
        """GFLOP/s of one call."""
        return 2e-9 * self.macs / self.seconds if self.seconds and self.macs else None

    @property
    def share_of_bound(self) -> float | None:
        """The least time over the time taken, 0 to 1."""
        return self.bound / self.seconds if self.seconds and self.bound and self.macs else None

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return 2 * self.macs / self.traffic if self.traffic else 0.0


@dataclass(frozen=True)
class Curve:
    """How tuning a task went: (number of the trial, its GFLOP/s; None for a failure), in order."""

    key: str
    kind: str
    shape: str
    trials: tuple[tuple[int, float | None], ...]
    failures: dict[str, int]

    @property
    def best(self) -> float | None:
        """GFLOP/s of the best trial."""
        return max((rate for _, rate in self.trials if rate is not None), default=None)

    @property
    def best_so_far(self) -> tuple[tuple[int, float], ...]:
        """The staircase of the best rate known after each trial."""
        best, steps = 0.0, []
        for number, rate in self.trials:
            best = max(best, rate or 0.0)
            if best:
                steps.append((number, best))
        return tuple(steps)

    def reached(self, trials: int) -> float:
        """The best rate of the first `trials`, or of all if there are fewer, as a share of the best ever."""
        return max((rate or 0.0 for _, rate in self.trials[:trials]), default=0.0) / (
            self.best or 1.0
        )

    def share_after(self, trials: int) -> float | None:
        """The best rate after `trials` as a share of the best ever; None with fewer trials."""
        if self.best is None or len(self.trials) < trials:
            return None
        return max((rate or 0.0 for _, rate in self.trials[:trials])) / self.best


@dataclass(frozen=True)
class Quality:
    """How near the search came to the best known after `trials` trials of each task, or all there are of a
    smaller space: shares, 0 to 1, of the `median` task and of the `worst`; `near` tasks are within 5 %.
    """

    trials: int
    median: float
    worst: float
    near: int
    tasks: int


def quality(curves: Sequence[Curve], counts: Sequence[int] = BUDGETS) -> tuple[Quality, ...]:
    """For each budget of trials; of the tasks of which any config worked."""
    known = [curve for curve in curves if curve.best is not None]
    found = []
    for count in counts if known else ():
        shares = sorted(curve.reached(count) for curve in known)
        found.append(
            Quality(
                trials=count,
                median=statistics.median(shares),
                worst=shares[0],
                near=sum(share >= NEAR for share in shares),
                tasks=len(shares),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class Timing:
    """One contestant of the race on one thread count: median, p90 and minimum seconds of a call."""

    name: str
    threads: int
    median: float
    p90: float
    minimum: float
    runs: int
    ratio: float  # its median over ours


@dataclass(frozen=True)
class Parity:
    """As `mnc.compile.runtime.verify.Check`, in plain values."""

    against: str
    examples: int
    predictions: int
    max_absolute: float
    max_relative: float
    tolerance: float
    top1: int
    top5: int
    ok: bool


@dataclass(frozen=True)
class Subject:
    """All about one artifact. `facts` are pairs for the reader; `notes` say what was left out and why.
    `failed_when_built`: its outputs were not PyTorch's. `simulated`: what it takes by a core model's costs.
    `half`: what half precision does to a network that is in it.
    """

    title: str
    model: str
    target: str
    folder: str
    is_measured: bool
    facts: tuple[tuple[str, str], ...]
    machine: tuple[tuple[str, str], ...]
    roof: Roof | None
    rows: tuple[Row, ...]
    rows_origin: str
    curves: tuple[Curve, ...]
    timings: tuple[Timing, ...]
    parity: tuple[Parity, ...]
    untuned: tuple[str, ...]
    kernels: int
    reproduce: tuple[str, ...]
    failed_when_built: bool = False
    simulated: Total | None = None
    half: half_precision.Report | None = None
    notes: tuple[str, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def failures(self) -> dict[str, int]:
        """Failed trials of all tasks, by kind."""
        total: Counter[str] = Counter()
        for curve in self.curves:
            total.update(curve.failures)
        return dict(total.most_common())

    @property
    def trials(self) -> int:
        """Trials of all tasks."""
        return sum(len(curve.trials) for curve in self.curves)

    @property
    def quality(self) -> tuple[Quality, ...]:
        """How near the search came to the best known, by budget."""
        return quality(self.curves)

    @property
    def seconds(self) -> float | None:
        """The layers' times summed; None while one is missing."""
        times = [row.seconds for row in self.rows]
        known = [time * row.calls for row, time in zip(self.rows, times, strict=True) if time]
        return sum(known) if known and all(times) else None

    @property
    def bound(self) -> float | None:
        """The layers' bounds summed."""
        if self.roof is None or not self.rows:
            return None
        return sum((row.bound or 0.0) * row.calls for row in self.rows)

    @property
    def latency(self) -> float | None:
        """Median seconds of one inference, on the fewest threads timed."""
        ours = [timing for timing in self.timings if timing.name == "mnc"]
        return min(ours, key=lambda timing: timing.threads).median if ours else None


@dataclass(frozen=True)
class Report:
    """The page: when and by what it was made, and its subjects."""

    created: str
    versions: str
    subjects: tuple[Subject, ...]
