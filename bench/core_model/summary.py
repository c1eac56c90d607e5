# SPDX-License-Identifier: Apache-2.0
"""The figures of one board: errors by kind of layer, whole network, ranking; ours and arithmetic's.

Takes a board's `Prediction`s; gives a `ValidationSummary`, with the goals it meets and misses.
"""

from collections.abc import Callable, Sequence

import msgspec

from bench.core_model.convolution import CONVOLUTIONS, KINDS
from bench.core_model.replay import FailedReplay, Prediction, ReplayOutcome
from bench.core_model.statistics import Fit, Ranking, fit, ranking, scale_of, sum_error

MAPE_GOAL = SD_GOAL = 0.15
SUM_GOAL = 0.10
RANKING_GOAL = 0.85
Guess = Callable[[Prediction], float]
METHODS: dict[str, Guess] = {
    "simulator": lambda one: one.price.seconds,
    "roofline": lambda one: one.roofline,
    "operations": lambda one: one.proportional,
}


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One way of predicting. `scale` is the board's one factor, from MobileNet's convolutions; `fits` by kind
    of MobileNet convolution and "all"; `every` over every config that was replayed.
    """

    name: str
    scale: float
    fits: tuple[tuple[str, Fit], ...]
    sum_error: float | None
    every: Fit
    ranking: Ranking

    def of(self, kind: str) -> Fit | None:
        return dict(self.fits).get(kind)


class ValidationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A board's validation. `calls` of the network's convolutions were in the logs, of `CONVOLUTIONS`."""

    model: str
    target: str
    calls: int
    methods: tuple[Method, ...]
    failed: tuple[str, ...]
    goals: tuple[tuple[str, bool], ...]


def summarise(
    model: str, target: str, outcomes: Sequence[ReplayOutcome]
) -> ValidationSummary | None:
    """The summary of a board, None when nothing could be priced."""
    done = [one for one in outcomes if isinstance(one, Prediction)]
    if not done:
        return None
    methods = tuple(_method(name, guess, done) for name, guess in METHODS.items())
    return ValidationSummary(
        model=model,
        target=target,
        calls=sum(one.case.calls for one in done),
        methods=methods,
        failed=tuple(one.why for one in outcomes if isinstance(one, FailedReplay)),
        goals=(_covered(done), *_goals(methods)),
    )


def _method(name: str, guess: Guess, done: Sequence[Prediction]) -> Method:
    network = [one for one in done if one.case.calls > 0]
    pairs = [(one.case.seconds, guess(one)) for one in network or done]
    scale = scale_of(pairs)
    fits = {}
    for kind in KINDS:
        own = [
            (one.case.seconds, guess(one))
            for one in network
            if one.case.record.convolution.kind == kind
        ]
        if own:
            fits[kind] = fit(own, scale=scale)
    calls = [(one.case.calls, one.case.seconds, guess(one)) for one in network]
    rows = [(one.case.record.convolution, one.case.seconds, guess(one)) for one in done]
    return Method(
        name=name,
        scale=scale,
        fits=(*fits.items(), ("all", fit(pairs, scale=scale))),
        sum_error=sum_error(calls, scale=scale) if network else None,
        every=fit([(real, predicted) for _, real, predicted in rows], scale=scale),
        ranking=ranking(rows),
    )


def _covered(done: Sequence[Prediction]) -> tuple[str, bool]:
    priced = sum(one.case.calls for one in done)
    return (f"all {CONVOLUTIONS} convolutions of MobileNet v1 priced", priced == CONVOLUTIONS)


def _goals(methods: Sequence[Method]) -> list[tuple[str, bool]]:
    ours, *others = methods
    goals = []
    for kind in ("pointwise", "depthwise"):
        one = ours.of(kind)
        if one is not None:
            goals.append((f"{kind}: mean error at most {MAPE_GOAL:.0%}", one.mape <= MAPE_GOAL))
            goals.append((f"{kind}: sd of log ratio at most {SD_GOAL}", one.sd_log <= SD_GOAL))
    if ours.sum_error is not None:
        total = abs(ours.sum_error) <= SUM_GOAL
        goals.append((f"whole network within {SUM_GOAL:.0%}", total))
    share = ours.ranking.share
    if share is not None:
        goals.append((f"pairs ordered right: {RANKING_GOAL:.0%}", share >= RANKING_GOAL))
    for other in others:
        goals.append((f"beats {other.name} by mean error and by sd", _beats(ours, other)))
    return goals


def _beats(ours: Method, other: Method) -> bool:
    """On each kind apart and on all together, in both errors."""
    mine, theirs = dict(ours.fits), dict(other.fits)
    return all(
        mine[kind].mape < theirs[kind].mape and mine[kind].sd_log < theirs[kind].sd_log
        for kind in ("pointwise", "depthwise", "all")
        if kind in mine and mine[kind].count > 1
    )
