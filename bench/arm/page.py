# SPDX-License-Identifier: Apache-2.0
"""Races on modelled cores as a page: a table and a picture of all the targets whose files are in a folder.

Takes a folder; writes its README.md and race.svg.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec

mpl.use("agg")
from matplotlib import pyplot

from bench.arm import runtimes
from bench.arm.results import NOTE, Race, Result, mean_error, row
from bench.arm.runtimes import OURS
from bench.picture import OURS_COLOUR, PEER_COLOUR
from mnc.support.files import write_atomic

COLUMNS = ("network", "threads", "runtime", "ms", "on real boards", "of the best peer")


def write(folder: Path) -> None:
    """The page anew, from all files of races in `folder`."""
    races = [
        msgspec.json.decode(path.read_bytes(), type=Race) for path in sorted(folder.glob("*.json"))
    ]
    draw(races, folder / "race.svg")
    write_atomic(folder / "README.md", markdown(races).encode())


def markdown(races: Sequence[Race]) -> str:
    """A heading, what kind of figures these are, then a table a target."""
    lines = ["# The race on modelled cores", "", NOTE, "", "![The race](race.svg)"]
    for race in races:
        lines += ["", f"## {race.target}: {race.core}", "", f"{_basis(race)}.", ""]
        lines += [_line(COLUMNS), _line("---" for _ in COLUMNS)]
        for one in race.results:
            cells = row(one, race.results)
            lines.append(_line(one.why if one.why and c == "ms" else cells[c] for c in COLUMNS))
    return "\n".join(lines) + "\n"


def _basis(race: Race) -> str:
    core = next((one.total.core for one in race.results if one.total), race.core)
    return f"Core model {race.core_model}; {mean_error(core)}"


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(_shown(cell) for cell in cells)} |"


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def draw(races: Sequence[Race], path: Path) -> None:
    """A panel a target, a bar a runtime, those of one network and thread count together."""
    mpl.rcParams["svg.hashsalt"] = "mnc"  # the same races give the same file
    most = max((len(race.results) for race in races), default=1)
    figure, panels = pyplot.subplots(
        len(races),
        1,
        figsize=(7, (0.7 + 0.22 * most) * len(races)),
        squeeze=False,
        layout="constrained",
    )
    for (axes,), race in zip(panels, races, strict=True):
        ran = [one for one in race.results if not one.why]
        colours = [OURS_COLOUR if _is_ours(one) else PEER_COLOUR for one in ran]
        bars = axes.barh(range(len(ran)), [one.milliseconds for one in ran], color=colours)
        axes.bar_label(bars, [f"{one.milliseconds:.1f}" for one in ran], padding=3, fontsize=8)
        axes.set_yticks(range(len(ran)), [_label(one) for one in ran], fontsize=8)
        axes.invert_yaxis()
        axes.set_title(f"{race.target}: {race.core}, a model", fontsize=9, loc="left")
        axes.set_xlabel("ms", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _is_ours(one: Result) -> bool:
    return runtimes.find(one.runtime).recipe == OURS


def _label(one: Result) -> str:
    threads = "1 thread" if one.threads == 1 else f"{one.threads} threads"
    return f"{runtimes.find(one.runtime).title}, {one.model.removeprefix('mobilenet_')}, {threads}"
