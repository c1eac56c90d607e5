# SPDX-License-Identifier: Apache-2.0
"""How well the model ranks each workload's configs, and what choosing by it would cost: a table.

Takes timings that are `PricedTiming`; gives rows, and lines of text.
"""

import math
import statistics
from collections.abc import Iterator, Sequence

import msgspec

from bench.core_model.host_pricing import PricedTiming
from bench.core_model.statistics import fit, ranking, scale_of, spearman

# Goals: rank correlation in a workload; time of the choice over the best.
RANKED, REGRET = 0.85, 1.10
COLUMNS = "{:<22} {:>4} {:>9} {:>9} {:>8} {:>7} {:>7} {:>7} {:>8} {:>7} {:>7}"


class WorkloadRanking(msgspec.Struct, frozen=True, kw_only=True):
    """A workload. `best`, `chosen` and `median` are real seconds: of the best config, of the one the model
    prefers, and of the one in the middle, which is what choosing blindly costs. `repeat` is the rank
    correlation of this machine with itself, half of the timings with the other half (None: not known); below
    the goal, no model can be expected to rank the configs: they are as fast as one another.
    """

    workload: str
    count: int
    best: float
    chosen: float
    median: float
    spearman: float
    repeat: float | None
    pairs_right: float
    scale: float
    sd_log: float

    @property
    def regret(self) -> float:
        return self.chosen / self.best

    @property
    def rankable(self) -> bool:
        return self.repeat is None or self.repeat >= RANKED

    @property
    def met(self) -> bool:
        return self.spearman >= RANKED and self.regret <= REGRET


def rows(priced: Sequence[PricedTiming]) -> list[WorkloadRanking]:
    """One row a workload, in order of first appearance."""
    groups: dict[str, list[PricedTiming]] = {}
    for one in priced:
        if one.seconds is not None:
            groups.setdefault(one.timing.workload, []).append(one)
    return [_row(workload, group) for workload, group in groups.items()]


def _row(workload: str, group: Sequence[PricedTiming]) -> WorkloadRanking:
    pairs = [(one.timing.seconds, one.seconds) for one in group if one.seconds is not None]
    halves = [one.timing.halves for one in group if one.timing.halves is not None]
    scale = scale_of(pairs)
    fitted = fit(pairs, scale=scale)
    order = ranking((workload, real, guess) for real, guess in pairs)
    return WorkloadRanking(
        workload=workload,
        count=len(pairs),
        best=min(real for real, _ in pairs),
        chosen=min(pairs, key=lambda pair: pair[1])[0],
        median=statistics.median(real for real, _ in pairs),
        spearman=fitted.spearman if fitted.spearman is not None else math.nan,
        repeat=spearman(halves),
        pairs_right=order.share if order.share is not None else math.nan,
        scale=scale,
        sd_log=fitted.sd_log,
    )


def report(table: Sequence[WorkloadRanking]) -> Iterator[str]:
    """The table and whether it meets the goals."""
    yield COLUMNS.format(
        *("workload", "n", "best us", "chosen us", "regret", "blind", "rank", "repeat"),
        *("pairs ok", "scale", "sd log"),
    )
    for row in table:
        yield COLUMNS.format(
            row.workload,
            row.count,
            f"{row.best * 1e6:.1f}",
            f"{row.chosen * 1e6:.1f}",
            f"{row.regret:.3f}",
            f"{row.median / row.best:.2f}",
            f"{row.spearman:.3f}",
            "-" if row.repeat is None else f"{row.repeat:.3f}",
            f"{row.pairs_right:.0%}",
            f"{row.scale:.2f}",
            f"{row.sd_log:.3f}",
        )
    if table:
        yield from _summary(table)


def _summary(table: Sequence[WorkloadRanking]) -> Iterator[str]:
    met = sum(row.met for row in table)
    alike = [row for row in table if not row.rankable]
    regret = statistics.geometric_mean(row.regret for row in table)
    rank = statistics.median(row.spearman for row in table)
    yield (
        f"{met} of {len(table)} workloads meet both goals (rank correlation at least {RANKED}, "
        f"choice within {REGRET - 1:.0%} of the best)"
    )
    if alike:
        chosen = sum(row.regret <= REGRET for row in alike)
        yield (
            f"{len(alike)} cannot be ranked: timed twice, their configs rank below {RANKED} alike; "
            f"the choice is within {REGRET - 1:.0%} of the best in {chosen} of them"
        )
    yield f"median rank correlation {rank:.3f}, mean regret {regret:.3f}"


def outliers(priced: Sequence[PricedTiming], count: int) -> Iterator[str]:
    """The configs farthest from their workload's factor."""
    scales = {row.workload: row.scale for row in rows(priced)}

    def off(one: PricedTiming) -> float:
        guess = one.seconds or one.timing.seconds
        return guess / one.timing.seconds / scales.get(one.timing.workload, 1.0)

    for one in sorted(priced, key=lambda one: -abs(math.log(off(one))))[:count]:
        whole = sum(cycles for _, cycles in one.causes) or 1.0
        causes = sorted(one.causes, key=lambda pair: -pair[1])[:5]
        shares = ", ".join(f"{cause} {cycles / whole:.0%}" for cause, cycles in causes)
        yield (
            f"{off(one):5.2f}  {one.timing.workload} #{one.timing.index} {one.timing.library}: "
            f"{one.timing.seconds * 1e6:.1f} us, {one.instructions} instructions, "
            f"{one.cycles:.0f} cycles: {shares}; misses {one.misses}"
        )
