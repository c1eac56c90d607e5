# SPDX-License-Identifier: Apache-2.0
"""Simulated totals with the range that published boards support: how far a core's totals were off.

Takes seconds of a whole network or program by the core model, its core and threads; gives a `Total`.
validation.csv holds published latencies beside predicted ones; `make validate-model` writes it.
"""

import csv
import functools
import math
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

import msgspec

TABLE = Path(__file__).with_name("validation.csv")
# What a log calls a core model on so many threads: measure/simulated.py.
MEASURER = re.compile(r"simulated \S+ (?P<core>\S+)-[0-9a-f]{8} \S+ threads=(?P<threads>\d{1,4})")
SHARE = 0.8  # of boards that are to lie within a range
REACH = statistics.NormalDist().inv_cdf((1 + SHARE) / 2)  # in standard deviations


class Validated(msgspec.Struct, frozen=True):
    """A latency that a runtime published of a board, and what the core model says of it: milliseconds."""

    core: str
    threads: int
    board: str
    runtime: str
    network: str
    precision: str
    published: float
    predicted: float

    @property
    def ratio(self) -> float:
        """Published over predicted."""
        return self.published / self.predicted


@dataclass(frozen=True)
class Total:
    """Simulated `seconds`, and between what the same takes on 8 of 10 real boards. `rows` are the published
    latencies of this core, at one thread or at several, that the range rests on; 0: those of all cores.
    """

    seconds: float
    low: float
    high: float
    core: str
    threads: int
    rows: int

    def __str__(self) -> str:
        """Such as "33.4 ms (27 to 41)"."""
        return f"{_digits(1e3 * self.seconds, 3)} ms ({self.range})"

    @property
    def range(self) -> str:
        """Milliseconds: "27 to 41"."""
        return " to ".join(_digits(1e3 * one, 2) for one in (self.low, self.high))

    @property
    def basis(self) -> str:
        """What the range rests on, in a line."""
        threads = "one thread" if self.threads == 1 else "several threads"
        if self.rows:
            own = f"{self.rows} published latencies of the {self.core} at {threads}"
            return f"the range is where 8 of 10 real boards lie, by {own}"
        return (
            f"no published latency of a {self.core} at {threads} was compared with the model; "
            "the range is that of the cores that were"
        )


def total_of(seconds: float, *, core: str, threads: int) -> Total:
    """A total of a core, such as "cortex-a72", with its range."""
    low, high, rows = _factors(core, several=threads > 1)
    return Total(seconds, low * seconds, high * seconds, core, threads, rows)


def total_by(measurer: str, seconds: float) -> Total | None:
    """A total of costs that a log has of a measurer of that name; None where it is no core model."""
    found = MEASURER.fullmatch(measurer)
    if found is None:
        return None
    return total_of(seconds, core=found["core"], threads=int(found["threads"]))


def read(path: Path = TABLE) -> tuple[Validated, ...]:
    """The rows of a table. msgspec.ValidationError where one cannot be read."""
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(msgspec.convert(one, Validated, strict=False) for one in csv.DictReader(file))


@functools.cache
def _factors(core: str, *, several: bool) -> tuple[float, float, int]:
    """Least and greatest factor, and how many rows of the core these come from.

    Logarithms of published over predicted lie around their core's mean, of all cores as widely; few rows
    leave the mean uncertain, which widens the range. A core without rows is as uncertain as one with a single
    row, and besides as cores' means are apart.
    """
    groups: dict[str, list[float]] = {}
    for row in read():
        if (row.threads > 1) == several:
            groups.setdefault(row.core, []).append(math.log(row.ratio))
    means = {name: statistics.mean(group) for name, group in groups.items()}
    around = [one - means[name] for name, group in groups.items() for one in group]
    variance = sum(one**2 for one in around) / (len(around) - len(groups))
    own = groups.get(core, [])
    variance *= 1 + 1 / max(1, len(own))
    if not own:
        variance += statistics.variance(means.values())
    middle = means.get(core, statistics.mean(means.values()))
    reach = REACH * math.sqrt(variance)
    return math.exp(middle - reach), math.exp(middle + reach), len(own)


def _digits(value: float, count: int) -> str:
    """A number with so many digits, or all before the point."""
    if value <= 0:
        return "0"
    places = count - 1 - math.floor(math.log10(value))
    return f"{round(value, places):.{max(places, 0)}f}"
