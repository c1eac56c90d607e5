# SPDX-License-Identifier: Apache-2.0
"""Published latencies beside predicted ones: how far off, by core and threads, and what threads gain.

Takes `Compared` rows; gives tables' rows, and the table that simulated totals have their ranges from.
"""

import csv
import io
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from mnc.compile.simulator import totals
from mnc.compile.simulator.totals import Validated
from mnc.support.files import write_atomic

GOALS = {"one thread": 15.0, "several": 20.0}  # percent, of the mean error of a core
GAIN_GOAL = 15.0  # percent that what threads gain may be off


class Row(msgspec.Struct, frozen=True):
    """One published figure. `doubt` is why it counts in no mean: what was not stated, or cannot have been as
    stated.
    """

    board: str
    core: str
    cores: int
    ghz: float
    threads: int
    runtime: str
    network: str
    precision: str
    ms: float
    source: str
    doubt: str = ""


class Compared(msgspec.Struct, frozen=True):
    """A row and what the model says; `why` instead of `predicted` where it was not run. `remark` is what else
    is to be known of it.
    """

    row: Row
    predicted: float = 0.0
    unknown_share: float = 0.0
    why: str = ""
    remark: str = ""

    @property
    def ratio(self) -> float:
        """Predicted over published."""
        return self.predicted / self.row.ms

    @property
    def counts(self) -> bool:
        """Whether it was run and its setting is known, so that means and ranges may rest on it."""
        return not self.why and not self.row.doubt


def shown(compared: Iterable[Compared]) -> Iterator[dict[str, object]]:
    """As a table has them."""
    for one in compared:
        row = one.row
        yield {
            "board": row.board,
            "core": f"{row.threads} of {row.cores} {row.core} {row.ghz:g}",
            "runtime": row.runtime,
            "network": f"{row.network} {row.precision}",
            "published ms": row.ms,
            "predicted": one.predicted if not one.why else None,
            "ratio": one.ratio if not one.why else None,
            "": one.why or "; ".join(filter(None, (row.doubt, one.remark))),
        }


def errors(compared: Iterable[Compared]) -> list[dict[str, object]]:
    """Mean absolute error by core and threads, in each precision and in all, and whether the goal is met.
    Rows in doubt are left out.
    """
    groups: dict[tuple[str, str, str], list[float]] = {}
    for one in compared:
        if one.counts:
            threads = "one thread" if one.row.threads == 1 else "several"
            for core in (one.row.core, "all"):
                for precision in (one.row.precision, "all"):
                    groups.setdefault((core, threads, precision), []).append(abs(one.ratio - 1))
    return [
        {
            "core": core,
            "threads": threads,
            "precision": precision,
            "rows": len(all_),
            "error %": 100 * statistics.mean(all_),
            "goal %": GOALS[threads],
            "met": 100 * statistics.mean(all_) <= GOALS[threads],
        }
        for (core, threads, precision), all_ in sorted(groups.items())
    ]


def gains(compared: Iterable[Compared]) -> list[dict[str, object]]:
    """What several threads gain over one, published and predicted, where both are of the same board, clock,
    runtime and network.
    """
    ran = [one for one in compared if one.counts]
    alone = {_same(one.row): one for one in ran if one.row.threads == 1}
    found = []
    for one in ran:
        single = alone.get(_same(one.row))
        if one.row.threads == 1 or single is None:
            continue
        published = single.row.ms / one.row.ms
        predicted = single.predicted / one.predicted
        off = 100 * (predicted / published - 1)
        found.append(
            {
                "board": one.row.board,
                "runtime": one.row.runtime,
                "network": f"{one.row.network} {one.row.precision}",
                "threads": one.row.threads,
                "published gain": published,
                "predicted gain": predicted,
                "off %": off,
                "met": abs(off) <= GAIN_GOAL,
            }
        )
    return found


def _same(row: Row) -> tuple[str, float, str, str, str]:
    return (row.board, row.ghz, row.runtime, row.network, row.precision)


def record(compared: Iterable[Compared], path: Path = totals.TABLE) -> None:
    """Keep what these rows gave in the table that simulated totals have their ranges from; of rows in doubt
    nothing.
    """
    known = {_key(row): row for row in totals.read(path)}
    for one in compared:
        if one.counts:
            row = one.row
            made = Validated(
                row.core,
                row.threads,
                row.board,
                row.runtime,
                row.network,
                row.precision,
                published=row.ms,
                predicted=round(one.predicted, 2),
            )
            known[_key(made)] = made
    rows = [msgspec.structs.astuple(known[key]) for key in sorted(known)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Validated.__struct_fields__, *rows])
    write_atomic(path, text.getvalue().encode())


def _key(row: Validated) -> tuple[str, ...]:
    return (row.core, row.board, row.runtime, row.network, row.precision, str(row.threads))
