# SPDX-License-Identifier: Apache-2.0
"""The model against this machine's own core: random configs, timed and simulated from the same library.

`python -m bench.core_model.host FOLDER` times configs of each workload (once: see host_timing),
prices the very libraries that were timed, and prints, a workload a line, how well the model ranks them and
what choosing by it would cost.
"""

import math
import multiprocessing
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click
import msgspec

from bench.core_model.host_timing import Timing, time_configs
from bench.core_model.host_workloads import DEFAULT
from bench.core_model.statistics import fit, ranking, scale_of, spearman
from mnc.compile.machine import peaks
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.simulate import Kernel, simulate
from mnc.support.errors import UserError
from mnc.support.files import write_atomic
from mnc.targets import Target, load

RANKED, REGRET = (
    0.85,
    1.10,
)  # goals: rank correlation in a workload; time of the choice over the best
COLUMNS = "{:<22} {:>4} {:>9} {:>9} {:>8} {:>7} {:>7} {:>7} {:>8} {:>7} {:>7}"


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """A timing with the model's seconds, and where its cycles go; None, and why, when it has no price."""

    timing: Timing
    seconds: float | None = None
    why: str = ""
    instructions: int = 0
    cycles: float = 0.0
    causes: tuple[tuple[str, float], ...] = ()
    misses: tuple[int, ...] = ()


class Row(msgspec.Struct, frozen=True, kw_only=True):
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


def price(folder: Path, target: Target, timing: Timing) -> Priced:
    """The model's cost of a library that was timed, in the same state of the caches, on one thread."""
    code = (folder / timing.library).read_bytes()
    try:
        found = simulate(Kernel(code, timing.arguments), target, threads=1, state="cold")
    except SimulationError as error:
        return Priced(timing=timing, why=str(error))
    return Priced(
        timing=timing,
        seconds=found.seconds,
        instructions=found.instructions,
        cycles=found.cycles,
        causes=tuple((cause.name.lower(), cycles) for cause, cycles in found.causes),
        misses=(*found.misses, found.dram_lines, found.tlb_misses),
    )


def price_all(folder: Path, timings: Sequence[Timing], *, jobs: int | None) -> list[Priced]:
    """Every timing priced, in `jobs` processes (one for each core)."""
    jobs = jobs or len(os.sched_getaffinity(0))
    host = load("host")
    work = partial(price, folder, peaks.as_measured(host, peaks.figures(host)))
    if jobs == 1:
        return [work(one) for one in timings]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        return list(pool.map(work, timings))


def rows(priced: Sequence[Priced]) -> list[Row]:
    """One row a workload, in order of first appearance."""
    groups: dict[str, list[Priced]] = {}
    for one in priced:
        if one.seconds is not None:
            groups.setdefault(one.timing.workload, []).append(one)
    return [_row(workload, group) for workload, group in groups.items()]


def _row(workload: str, group: Sequence[Priced]) -> Row:
    pairs = [(one.timing.seconds, one.seconds) for one in group if one.seconds is not None]
    halves = [one.timing.halves for one in group if one.timing.halves is not None]
    scale = scale_of(pairs)
    fitted = fit(pairs, scale=scale)
    order = ranking((workload, real, guess) for real, guess in pairs)
    return Row(
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


def report(table: Sequence[Row]) -> Iterator[str]:
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


def _summary(table: Sequence[Row]) -> Iterator[str]:
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


def outliers(priced: Sequence[Priced], count: int) -> Iterator[str]:
    """The configs farthest from their workload's factor."""
    scales = {row.workload: row.scale for row in rows(priced)}

    def off(one: Priced) -> float:
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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", type=click.IntRange(3), default=32, help="configs of each workload")
@click.option("--workload", "workloads", multiple=True, help="such as 'pointwise 64->128 56'")
@click.option("--seed", type=int, default=1, help="of the choice of configs")
@click.option("--jobs", type=click.IntRange(1), help="simulating processes; one for each core")
@click.option("--worst", type=click.IntRange(0), default=0, help="list so many outliers")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="write prices as JSON")
def main(
    folder: Path,
    count: int,
    workloads: tuple[str, ...],
    seed: int,
    jobs: int | None,
    worst: int,
    out: Path | None,
) -> None:
    """Compare the model with this machine's core; timings stay in FOLDER."""
    try:
        priced = run(folder, workloads or DEFAULT, count=count, seed=seed, jobs=jobs)
        for line in (*report(rows(priced)), *outliers(priced, worst)):
            click.echo(line)
        for one in priced:
            if one.seconds is None:
                click.echo(f"not priced: {one.timing.workload} #{one.timing.index}: {one.why}")
        if out is not None:
            write_atomic(out, msgspec.json.format(msgspec.json.encode(priced), indent=1) + b"\n")
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


def run(
    folder: Path, workloads: Sequence[str], *, count: int, seed: int = 1, jobs: int | None = None
) -> list[Priced]:
    """Time what the folder lacks, then price all. UserError."""
    timings = time_configs(
        folder, workloads, count=count, seed=seed, tell=lambda text: click.echo(text, err=True)
    )
    return price_all(folder, timings, jobs=jobs)


if __name__ == "__main__":
    main()
