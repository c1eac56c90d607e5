# SPDX-License-Identifier: Apache-2.0
"""A race as a picture: a row of bars a runtime, a panel a network and thread count, the bound as a line.

Takes a Race; writes an SVG.
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from bench.page import count, is_ours
from bench.results import Contest, Race

OURS_COLOUR, PEER_COLOUR, BOUND_COLOUR = "#1f6f8b", "#b8bfc6", "#c8553d"
LONGEST = 3.0  # times the best: longer bars are cut and say their length


def draw(race: Race, path: Path) -> None:
    """Write the SVG."""
    models = list(dict.fromkeys(contest.model for contest in race.contests))
    counts = sorted({contest.threads for contest in race.contests})
    mpl.rcParams["svg.hashsalt"] = "mnc"  # the same race gives the same file
    height = 0.9 + 0.24 * max((len(contest.timed()) for contest in race.contests), default=1)
    figure, panels = pyplot.subplots(
        len(models),
        len(counts),
        figsize=(6.2 * len(counts), height * len(models)),
        squeeze=False,
        layout="constrained",
    )
    for row, model in zip(panels, models, strict=True):
        for axes, threads in zip(row, counts, strict=True):
            found = [c for c in race.contests if c.model == model and c.threads == threads]
            if found and found[0].timed():
                _panel(axes, found[0], race)
            else:
                axes.set_axis_off()
    figure.suptitle(
        f"Median latency, {race.precision}, batch 1: {race.machine.cpu}, {race.started[:10]}"
    )
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _panel(axes: Axes, contest: Contest, race: Race) -> None:
    entries = contest.timed()
    medians = [1e3 * (entry.median or 0) for entry in entries]
    limit = LONGEST * medians[0]
    colours = [OURS_COLOUR if is_ours(entry.peer) else PEER_COLOUR for entry in entries]
    places = range(len(entries))
    axes.barh(places, [min(value, limit) for value in medians], color=colours)
    for place, entry, value in zip(places, entries, medians, strict=True):
        low, high = 1e3 * (entry.low or 0), 1e3 * (entry.high or 0)
        if high < limit:
            axes.plot([low, high], [place, place], color="black", linewidth=1)
        text = (f"{value:.3f}" if value < 10 else f"{value:.1f}") + (
            " (bar cut)" if value > limit else ""
        )
        axes.text(min(max(value, high), limit), place, f" {text}", va="center", fontsize=8)
    axes.axvline(1e3 * contest.bound, color=BOUND_COLOUR, linewidth=1)
    axes.set_yticks(places, [race.titles[entry.peer] for entry in entries], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * limit)
    axes.set_title(f"{contest.model}, {count(contest.threads)}", fontsize=9)
    axes.set_xlabel("ms; black: quartiles; red: bound at measured peak", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
