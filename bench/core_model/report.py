# SPDX-License-Identifier: Apache-2.0
"""A validation as text: a table a board, its verdicts, and the cases the model gets most wrong.

Takes `ValidationSummary`s and `Prediction`s; gives lines.
"""

import json
import math
from collections.abc import Iterator, Sequence

from bench.core_model.convolution import CONVOLUTIONS
from bench.core_model.replay import Prediction
from bench.core_model.statistics import Fit
from bench.core_model.summary import Method, ValidationSummary

# What was chosen by measurements of boards, and of which; all else comes from manuals (see targets/).
FITTED = (
    "Fitted on rk3399 and then held: the cycles of a parallel section (launch_cycles), the A72's prefetch "
    "depths, that pages lie evenly over L2's sets, and how this replay compiles, two of whose rules were "
    "found on bcm2837 (docs/simulator.md). Of every other board nothing but its one scale factor."
)
COLUMNS = "{:<11} {:<10} {:>4} {:>7} {:>7} {:>7} {:>7} {:>9}"


def board_lines(summary: ValidationSummary) -> Iterator[str]:
    """The tables of one board."""
    yield f"{summary.model} (target {summary.target}): {_coverage(summary)}"
    yield COLUMNS.format("", "", "n", "scale", "error", "worst", "sd log", "Spearman")
    for method in summary.methods:
        for kind, one in (*method.fits, ("every conv", method.every)):
            yield _row(method.name, kind, one)
    for method in summary.methods:
        yield f"{method.name:<11} {_whole(method)}"
    for why in summary.failed[:10]:
        yield f"  not priced: {why}"
    if len(summary.failed) > 10:
        yield f"  not priced: {len(summary.failed) - 10} more"
    for goal, met in summary.goals:
        yield f"  {'met   ' if met else 'MISSED'}  {goal}"


def _coverage(summary: ValidationSummary) -> str:
    return f"{summary.calls} of the network's {CONVOLUTIONS} convolutions"


def _row(name: str, kind: str, one: Fit) -> str:
    rank = "-" if one.spearman is None else f"{one.spearman:.3f}"
    return COLUMNS.format(
        name,
        kind,
        one.count,
        f"{one.scale:.3f}",
        f"{one.mape:.1%}",
        f"{one.worst:.0%}",
        f"{one.sd_log:.3f}",
        rank,
    )


def _whole(method: Method) -> str:
    total = "no network" if method.sum_error is None else f"{method.sum_error:+.1%}"
    ranked = method.ranking
    share = (
        "no pairs"
        if ranked.share is None
        else f"{ranked.share:.0%} ({ranked.right}/{ranked.pairs})"
    )
    return f"whole network {total}, pairs ordered right {share}"


def worst_lines(predictions: Sequence[Prediction], *, scale: float, count: int) -> Iterator[str]:
    """The `count` cases whose ratio is farthest from the board's factor, with what the model saw."""

    def off(one: Prediction) -> float:
        return abs(math.log(_ratio(one) / scale))

    for one in sorted(predictions, key=off, reverse=True)[:count]:
        record, price = one.case.record, one.price
        yield (
            f"{_ratio(one) / scale:5.2f}  {record.convolution}  measured {one.case.seconds * 1e3:.3f} ms, "
            f"predicted {price.seconds * 1e3:.3f} ms (x{1 / scale:.2f} = {price.seconds / scale * 1e3:.3f}), "
            f"{record.convolution.flops / one.case.seconds * 1e-9:.1f} GFLOP/s  [{record.source}]"
        )
        yield f"       {_knobs(record.knobs)}"
        counts = f"{price.instructions} instructions ({price.spills} spills)"
        yield f"       {counts}, {price.cycles:.0f} cycles: {_shares(price.causes)}"
        yield "       misses: " + ", ".join(f"{level} {lines}" for level, lines in price.misses)


def _ratio(one: Prediction) -> float:
    return one.price.seconds / one.case.seconds


def _knobs(text: str) -> str:
    return " ".join(
        f"{name}={json.dumps(value, separators=(',', ':'))}" for name, _, value in json.loads(text)
    )


def _shares(causes: Sequence[tuple[str, float]]) -> str:
    whole = sum(cycles for _, cycles in causes) or 1.0
    largest = sorted(causes, key=lambda one: -one[1])
    return ", ".join(
        f"{cause} {cycles / whole:.0%}" for cause, cycles in largest if cycles > 0.005 * whole
    )
