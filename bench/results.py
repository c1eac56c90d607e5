# SPDX-License-Identifier: Apache-2.0
"""What a race found, as it is kept in race.json. Seconds are floats, sizes bytes."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mnc.model.names import Precision
from mnc.support.files import write_atomic


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime in one contest. `why` says why it has no times; "" when it has.

    `error`, `logit_error` and `agreement` compare it with PyTorch in float32, as `judging.Likeness` says.
    `rounds` are the medians of its bursts in the order run, None in a round in which it did not answer.
    `median`, `low` and `high` (quartiles) and `minimum` are over all `calls` timed calls.
    """

    peer: str
    version: str = ""
    why: str = ""
    error: float | None = None
    logit_error: float | None = None
    agreement: float | None = None
    calls: int = 0
    median: float | None = None
    low: float | None = None
    high: float | None = None
    minimum: float | None = None
    rounds: tuple[float, ...] = ()
    load_seconds: float | None = None
    rss_growth: int | None = None
    peak_growth: int | None = None
    model_bytes: int | None = None
    library_bytes: int | None = None
    workspace_bytes: int | None = None

    @property
    def shipped_bytes(self) -> int | None:
        """What an application ships: the model and the runtime's libraries."""
        if self.model_bytes is None or self.library_bytes is None:
            return None
        return self.model_bytes + self.library_bytes

    @property
    def spread(self) -> float | None:
        """The interquartile range as a share of the median."""
        if self.median is None or self.low is None or self.high is None:
            return None
        return (self.high - self.low) / self.median


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """All runtimes on one network with one number of threads. `bound` is multiply-adds over the peak, which
    for int8 is of its dot products, in seconds; `others_busy` the share of the used processors' time that
    other programs took in the pauses.
    """

    model: str
    weights_hash: str
    threads: int
    cpus: tuple[int, ...]
    rounds: int
    macs: int
    peak_gflops: float
    bound: float
    others_busy: float
    entries: tuple[Entry, ...]

    def entry(self, peer: str) -> Entry | None:
        """The entry of one runtime."""
        return next((one for one in self.entries if one.peer == peer), None)

    def timed(self) -> list[Entry]:
        """Entries with times, the fastest first."""
        return sorted(
            (e for e in self.entries if e.median is not None), key=lambda e: e.median or 0
        )

    def ratio(self, ours: str, *, to: str) -> tuple[float, float, float] | None:
        """(median, lower and upper quartile) of ours / theirs, taken round by round: what changed
        the machine's speed for a while met both.
        """
        first, second = self.entry(ours), self.entry(to)
        if first is None or second is None or not first.rounds or not second.rounds:
            return None
        ratios = [a / b for a, b in zip(first.rounds, second.rounds, strict=True)]
        low, middle, high = quartiles(ratios)
        return middle, low, high


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was run. `hidden` says which of its instructions no runtime was told of."""

    cpu: str
    mcpu: str
    cores: int
    caches: str
    memory_bytes: int
    kernel: str
    virtual: bool
    hidden: str = ""


class Race(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the command."""

    format: int = 1
    started: str
    finished: str
    commit: str
    dirty: bool
    precision: Precision = "float32"
    machine: Machine
    settings: dict[str, str]
    titles: dict[str, str]
    contests: tuple[Contest, ...]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """(lower quartile, median, upper quartile), for one value too."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def save(race: Race, path: Path) -> None:
    """Write `race` as indented JSON, whole or not at all."""
    write_atomic(path, msgspec.json.format(msgspec.json.encode(race), indent=1) + b"\n")


def load(path: Path) -> Race:
    """The race that `save` wrote; msgspec.ValidationError when it is something else."""
    return msgspec.json.decode(path.read_bytes(), type=Race)
