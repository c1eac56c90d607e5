# SPDX-License-Identifier: Apache-2.0
"""How close predictions come to measurements: errors after one scale factor, and pairs ordered right.

Takes (measured, predicted) in seconds; gives `Fit`s and `Ranking`s.
"""

import itertools
import math
import statistics
from collections.abc import Hashable, Iterable, Sequence

import msgspec
from scipy.stats import spearmanr

APART = 1.15  # measured costs of a pair differ at least by this factor to count

Pairs = Sequence[tuple[float, float]]


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """`scale` is the geometric mean of predicted / measured of these; `mape` the mean absolute error as a
    share of the measurement, after division by the board's factor; `sd_log` the (sample) standard deviation
    of ln(predicted / measured); `spearman` None for fewer than three.
    """

    count: int
    scale: float
    mape: float
    worst: float
    sd_log: float
    spearman: float | None


class Ranking(msgspec.Struct, frozen=True):
    """Pairs of configs of one workload that were measured apart, and how many are ordered right."""

    pairs: int
    right: int

    @property
    def share(self) -> float | None:
        return self.right / self.pairs if self.pairs else None


def scale_of(pairs: Pairs) -> float:
    """The geometric mean of predicted / measured. 1.0 for none."""
    if not pairs:
        return 1.0
    return math.exp(statistics.fmean(math.log(guess / real) for real, guess in pairs))


def fit(pairs: Pairs, *, scale: float) -> Fit:
    """The errors of `pairs` when predictions are divided by `scale`, a whole board's."""
    logs = [math.log(guess / real) for real, guess in pairs]
    errors = [abs(guess / scale - real) / real for real, guess in pairs]
    return Fit(
        count=len(pairs),
        scale=scale_of(pairs),
        mape=statistics.fmean(errors),
        worst=max(errors),
        sd_log=statistics.stdev(logs) if len(logs) > 1 else 0.0,
        spearman=spearman(pairs),
    )


def spearman(pairs: Pairs) -> float | None:
    """The rank correlation of the two sides; None for fewer than three pairs or a constant side."""
    if len(pairs) < 3:
        return None
    real, guess = zip(*pairs, strict=True)
    value = float(spearmanr(real, guess).statistic)
    return value if math.isfinite(value) else None


def sum_error(calls: Iterable[tuple[int, float, float]], *, scale: float) -> float:
    """Of (calls, measured, predicted): how far the predicted total is from the measured, as a share of it."""
    rows = list(calls)
    real = sum(count * one for count, one, _ in rows)
    guess = sum(count * one / scale for count, _, one in rows)
    return guess / real - 1.0


def ranking(rows: Iterable[tuple[Hashable, float, float]]) -> Ranking:
    """Of (workload, measured, predicted): the pairs within a workload that differ by `APART` or more.

    A pair that is predicted alike is not ordered right.
    """
    groups: dict[Hashable, list[tuple[float, float]]] = {}
    for workload, real, guess in rows:
        groups.setdefault(workload, []).append((real, guess))
    pairs = right = 0
    for members in groups.values():
        for one, other in itertools.combinations(members, 2):
            fast, slow = sorted((one, other))
            if slow[0] > APART * fast[0]:
                pairs += 1
                right += slow[1] > fast[1]
    return Ranking(pairs, right)
