# SPDX-License-Identifier: Apache-2.0
"""The report's pictures: matplotlib's SVG, to stand inside the page.

Takes the report's data; gives SVG elements as text, without size, colours by CSS variables of the page, so
that they follow its width and its light or dark mode. Nothing in them refers to anywhere else.
"""

import io
import math
import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from mnc.compile.machine.roofs import Roof
from mnc.compile.report.data import NEAR, Curve, Row

# Stand-ins that matplotlib draws with, and what the page makes of them.
INK, FAINT, FILL = "#010203", "#040506", "#070809"
COLOURS = {
    "pointwise": "#0a0001",
    "depthwise": "#0a0002",
    "first conv": "#0a0003",
    "dense": "#0a0004",
    "conv": "#0a0005",
    "layout transform": "#0a0006",
    "fused": "#0a0008",
}
OTHER = "#0a0007"
MARKERS = dict(zip([*COLOURS, "other"], "osD^vXpP", strict=True))
VARIABLES = {INK: "currentColor", FAINT: "var(--faint)", FILL: "var(--page)"} | {
    colour: f"var(--kind-{int(colour[-1])})" for colour in [*COLOURS.values(), OTHER]
}
# What the variables are where there is no page around: its light mode.
LIGHT = {"currentColor": "#1c2024", "var(--faint)": "#9aa3ad", "var(--page)": "#ffffff"} | {
    f"var(--kind-{number})": colour
    for number, colour in enumerate(
        "#0b6bcb #d9730d #12855a #8e44c2 #b0244f #c4320a #6b7580 #0f8a8a".split(), 1
    )
}
STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "text.parse_math": False,  # a name from a manifest is no formula
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
INKS = "text.color axes.edgecolor axes.labelcolor axes.titlecolor xtick.color ytick.color legend.labelcolor"
WIDE, SMALL = (5.4, 3.6), (2.7, 1.7)  # inches; a phone is about 5 wide at this text size


def roofline(rows: Sequence[Row], roof: Roof | None, *, title: str) -> str:
    """Each layer by operations a byte and GFLOP/s, under the lines that the machine allows; "" without."""
    points = [row for row in rows if row.gflops and row.intensity]
    if roof is None or not points:
        return ""

    def draw(axes: Any) -> None:
        low = min(*(row.intensity for row in points), _ridge(roof)) / 2
        high = 2 * max(*(row.intensity for row in points), _ridge(roof))
        for kind, some in _by_kind(points).items():
            axes.scatter(
                [row.intensity for row in some],
                [row.gflops for row in some],
                s=24,
                marker=MARKERS.get(kind, MARKERS["other"]),
                color=COLOURS.get(kind, OTHER),
                edgecolors=FILL,
                linewidths=0.4,
                label=f"{kind} ({len(some)})",
                zorder=3,
            )
        axes.set(xscale="log", yscale="log", xlim=(low, high))
        axes.set(xlabel="operations a byte", ylabel="GFLOP/s")
        axes.set_ylim(min(row.gflops or 1.0 for row in points) / 2, roof.gflops * 1.6)
        _roofs(axes, roof, low, high)  # after the scales, which turn its texts
        _plain_ticks(axes)
        axes.legend(loc="lower right")

    return _svg(draw, f"roofline of {title}", WIDE)


def standalone(svg: str) -> str:
    """A picture of this module as a file of its own, in the page's light colours."""
    for variable, colour in LIGHT.items():
        svg = svg.replace(variable, colour)
    background = f'<rect width="100%" height="100%" fill="{LIGHT["var(--page)"]}"/>'
    tag = re.compile(r'<svg(?:[^>"]|"[^"]*")*>')  # a label may hold a ">"
    svg = tag.sub(lambda found: f'{found[0][:-1]} font-family="sans-serif">{background}', svg, 1)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg}'


def curve(one: Curve, peak: float | None) -> str:
    """GFLOP/s by trial: each trial a point, the best so far a line, failures at the bottom."""

    def draw(axes: Any) -> None:
        colour = COLOURS.get(one.kind, OTHER)
        known = [(number, rate) for number, rate in one.trials if rate is not None]
        failed = [number for number, rate in one.trials if rate is None]
        if known:
            axes.scatter(*zip(*known, strict=True), s=5, color=FAINT, linewidths=0)
            axes.step(*zip(*one.best_so_far, strict=True), where="post", color=colour, lw=1.6)
        if failed:
            axes.scatter(failed, [0] * len(failed), s=12, marker="x", color=INK, linewidths=0.8)
        if peak and one.best and one.best > peak / 3:
            axes.axhline(peak, color=INK, lw=0.6, ls=":")
        axes.set_ylim(bottom=-0.04 * (one.best or 1.0))
        axes.set_xlim(0, max(len(one.trials), 2) + 1)
        axes.set(xlabel="trial", ylabel="GFLOP/s")
        axes.locator_params(nbins=4)

    return _svg(draw, f"tuning curve of {one.kind} {one.shape}", SMALL)


def search_quality(curves: Sequence[Curve]) -> str:
    """The best after each number of trials as a share of the best known: a line a task, and the median of
    all; "" without any.
    """
    known = [one for one in curves if one.best is not None]
    if not known:
        return ""
    longest = max(len(one.trials) for one in known)
    counts = range(1, longest + 1)

    def draw(axes: Any) -> None:
        named = set()
        for one in known:
            label = None if one.kind in named else one.kind
            named.add(one.kind)
            axes.step(
                counts,
                [100 * one.reached(count) for count in counts],
                where="post",
                color=COLOURS.get(one.kind, OTHER),
                lw=0.8,
                label=label,
            )
        middle = [100 * statistics.median(one.reached(n) for one in known) for n in counts]
        axes.step(counts, middle, where="post", color=INK, lw=2, label="median")
        axes.axhline(100 * NEAR, color=FAINT, lw=0.8, ls=":")
        axes.set(xscale="log", xlim=(1, longest), ylim=(40, 101))
        axes.set(xlabel="trials of a task", ylabel="best so far, % of the best known")
        axes.xaxis.set_major_locator(LogLocator(base=2))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, position: f"{value:g}")
        axes.legend(loc="lower right")

    return _svg(draw, "search quality", WIDE)


def failures(counts: dict[str, int]) -> str:
    """How many trials failed, by kind; "" when none did."""
    if not counts:
        return ""

    def draw(axes: Any) -> None:
        bars = axes.barh(
            list(counts), list(counts.values()), color=COLOURS["depthwise"], height=0.6
        )
        axes.bar_label(bars, padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set(xlabel="failed trials")
        axes.xaxis.get_major_locator().set_params(integer=True)

    return _svg(draw, "failed trials by kind", (WIDE[0], 0.8 + 0.35 * len(counts)))


def _roofs(axes: Any, roof: Roof, low: float, high: float) -> None:
    for level, speed in roof.bandwidths.items():
        ridge = roof.gflops / speed
        axes.plot([low, ridge], [low * speed, roof.gflops], color=FAINT, lw=0.9, zorder=1)
        if low < ridge / 1.5:
            axes.text(
                ridge / 1.1,
                roof.gflops / 1.1,
                f"{level} {speed:.0f} GB/s ",
                fontsize=7,
                ha="right",
                va="bottom",
                rotation=math.degrees(math.atan(speed)),  # along the line
                rotation_mode="anchor",
                transform_rotates_text=True,
                clip_on=True,
            )
    start = roof.gflops / max(roof.bandwidths.values(), default=roof.gflops / low)
    axes.plot([start, high], [roof.gflops] * 2, color=INK, lw=1.1, zorder=1)
    axes.annotate(
        f"{roof.gflops:.0f} GFLOP/s",
        (high, roof.gflops),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )


def _by_kind(rows: Sequence[Row]) -> dict[str, list[Row]]:
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row.kind, []).append(row)
    return kinds


def _ridge(roof: Roof) -> float:
    """Operations a byte from which on the outermost memory is fast enough."""
    return roof.gflops / min(roof.bandwidths.values(), default=roof.gflops)


def _plain_ticks(axes: Any) -> None:
    """1, 2, 5, 10 instead of powers, which matplotlib writes as formulas."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, position: f"{value:g}")


def _svg(draw: Callable[[Any], None], title: str, size: tuple[float, float]) -> str:
    style: dict[Any, Any] = {**STYLE, **dict.fromkeys(INKS.split(), INK), "svg.hashsalt": title}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.grid(color=FAINT, alpha=0.35)
        axes.set_axisbelow(True)
        draw(axes)
        out = io.StringIO()
        figure.savefig(
            out, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return _inline(out.getvalue(), title)


def _inline(text: str, title: str) -> str:
    """The bare svg element: no prolog, no size, no rules for the page around it, CSS colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg\b[^>]*?) (?:width|height)="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg\b[^>]*?) (?:width|height)="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the same in every picture, and never referred to
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    for stand_in, colour in VARIABLES.items():
        text = text.replace(stand_in, colour)
    return text
