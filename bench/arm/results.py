# SPDX-License-Identifier: Apache-2.0
"""What a race on a modelled core found, as its file has it and as a table's rows."""

import statistics

import msgspec

from bench.arm import runtimes
from bench.arm.runtimes import OURS
from mnc.compile.simulator.totals import Total, read

NOTE = (
    "A model, no device: every instruction of each runtime's own AArch64 code, priced by the core model; "
    "docs/tracing.md says how far that is from published boards."
)


class Result(msgspec.Struct, frozen=True):
    """One runtime; `why` instead of milliseconds where it has none."""

    model: str
    runtime: str
    threads: int
    milliseconds: float = 0.0
    total: Total | None = None
    instructions: int = 0
    unknown_share: float = 0.0
    error: float = 0.0
    why: str = ""


class Race(msgspec.Struct, frozen=True):
    """All of a target; a file of --out."""

    note: str
    target: str
    core: str
    core_model: str
    results: tuple[Result, ...]


def best_peer(one: Result, results: tuple[Result, ...]) -> float | None:
    """Milliseconds of the fastest other runtime on the same network and threads."""
    peers = [
        other.milliseconds
        for other in results
        if (other.model, other.threads) == (one.model, one.threads)
        and runtimes.find(other.runtime).recipe != OURS
        and not other.why
    ]
    return min(peers, default=None)


def row(one: Result, results: tuple[Result, ...]) -> dict[str, object]:
    """A line of a table."""
    best = best_peer(one, results)
    ran = not one.why
    return {
        "network": one.model,
        "threads": one.threads,
        "runtime": runtimes.find(one.runtime).title,
        "ms": one.milliseconds if ran else None,
        "on real boards": one.total and one.total.range,
        "of the best peer": one.milliseconds / best if ran and best else None,
        "instructions, millions": one.instructions / 1e6 if ran else None,
        "without a model %": 100 * one.unknown_share if ran else None,
        "error": one.error if ran else None,
        "": one.why,
    }


def mean_error(core: str) -> str:
    """How far the model was off published latencies of such a core."""
    of = [abs(1 / one.ratio - 1) for one in read() if one.core == core]
    if not of:
        return f"no published latency of a {core} was compared"
    return f"off by {100 * statistics.mean(of):.0f} % on average of {len(of)} published latencies"
