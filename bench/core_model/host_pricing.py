# SPDX-License-Identifier: Apache-2.0
"""What the model says of the libraries that this machine timed.

Takes `HostTiming`s; gives them `PricedTiming`, in the order of the timings.
"""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click
import msgspec

from bench.core_model.host_timing import HostTiming, time_configs
from mnc.compile.machine import peaks
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.simulate import Kernel, simulate
from mnc.targets import Target, load


class PricedTiming(msgspec.Struct, frozen=True, kw_only=True):
    """A timing with the model's seconds, and where its cycles go; None, and why, when it has no price."""

    timing: HostTiming
    seconds: float | None = None
    why: str = ""
    instructions: int = 0
    cycles: float = 0.0
    causes: tuple[tuple[str, float], ...] = ()
    misses: tuple[int, ...] = ()


def price(folder: Path, target: Target, timing: HostTiming) -> PricedTiming:
    """The model's cost of a library that was timed, in the same state of the caches, on one thread."""
    code = (folder / timing.library).read_bytes()
    try:
        found = simulate(Kernel(code, timing.arguments), target, threads=1, state="cold")
    except SimulationError as error:
        return PricedTiming(timing=timing, why=str(error))
    return PricedTiming(
        timing=timing,
        seconds=found.seconds,
        instructions=found.instructions,
        cycles=found.cycles,
        causes=tuple((cause.name.lower(), cycles) for cause, cycles in found.causes),
        misses=(*found.misses, found.dram_lines, found.tlb_misses),
    )


def price_all(
    folder: Path, timings: Sequence[HostTiming], *, jobs: int | None
) -> list[PricedTiming]:
    """Every timing priced, in `jobs` processes (one for each core)."""
    jobs = jobs or len(os.sched_getaffinity(0))
    host = load("host")
    work = partial(price, folder, peaks.as_measured(host, peaks.figures(host)))
    if jobs == 1:
        return [work(one) for one in timings]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        return list(pool.map(work, timings))


def run(
    folder: Path, workloads: Sequence[str], *, count: int, seed: int = 1, jobs: int | None = None
) -> list[PricedTiming]:
    """Time what the folder lacks, then price all. UserError."""
    timings = time_configs(
        folder, workloads, count=count, seed=seed, tell=lambda text: click.echo(text, err=True)
    )
    return price_all(folder, timings, jobs=jobs)
