# SPDX-License-Identifier: Apache-2.0
"""Candidates a second that workers simulate, for growing numbers of them: `python -m bench.simulation_speed`.

Starts a tracker and workers here, as `mnc simulate-worker` does, and prices the same random candidates of
MobileNet workloads with 1, 2, ... of them. With as many workers as cores it shows what a further machine of
the kind adds.
"""

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import click

from mnc.compile.measure.fleet.client import Fleet
from mnc.compile.measure.fleet.workers import start_worker
from mnc.compile.measure.options import SimulationOptions
from mnc.compile.measure.simulated import SimulatedMeasurer
from mnc.compile.rpc.tracker import start_tracker
from mnc.targets import Target, load

# (channels in, channels out, size): the median of MobileNet v1's pointwise workloads, and its neighbours.
SHAPES = ((128, 128, 56), (128, 256, 28), (256, 256, 28), (256, 512, 14))


def pointwise(target: Target, inputs: int, outputs: int, size: int) -> Any:
    """The task of a 1x1 convolution."""
    import tvm

    from mnc.compile.frontend import tasks
    from mnc.compile.templates.pointwise import NAME

    lanes = target.lanes
    data = ("TENSOR", (1, inputs // lanes, size, size, lanes), "float32")
    weights = ("TENSOR", (outputs // lanes, inputs // lanes, 1, 1, lanes, lanes), "float32")
    layout = f"NCHW{lanes}c"
    numbers = ((1, 1), (0, 0, 0, 0), (1, 1))
    args = (data, weights, *numbers, layout, layout, "float32")
    return tasks.from_workload(NAME, args, tvm.target.Target(target.tvm_target()), calls=1)


def candidates(task: Any, count: int) -> list[Any]:
    """Random configs, the same each time."""
    space = task.task.config_space
    valid = [i for i in range(space.range_length) if space.is_index_valid(i)]
    return [space.get(i) for i in random.Random(0).sample(valid, min(count, len(valid)))]


def rate(target: Target, tracker: tuple[str, int], count: int) -> tuple[float, tuple[float, ...]]:
    """Candidates a second, and their costs, by the workers that have joined."""
    work = [(task, candidates(task, count)) for task in (pointwise(target, *s) for s in SHAPES)]
    options = SimulationOptions(verify=False)
    with SimulatedMeasurer(target, options=options, engine=Fleet(tracker, target)) as measurer:
        list(measurer.measure(*_first(work)))  # the workers' processes start
        began = time.monotonic()
        trials = [trial for task, configs in work for trial in measurer.measure(task, configs)]
        seconds = time.monotonic() - began
    ordered = sorted(trials, key=lambda trial: (trial.key, trial.config.index))
    return len(trials) / seconds, tuple(trial.cost for trial in ordered)


def _first(work: Sequence[tuple[Any, list[Any]]]) -> tuple[Any, list[Any]]:
    task, configs = work[0]
    return task, configs[:4]


@click.command()
@click.option("--target", "name", default="rk3399", show_default=True)
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Up to so many."
)
@click.option("--candidates", "count", type=click.IntRange(4), default=24, show_default=True)
@click.option("--port", type=int, default=9590, show_default=True)
def main(name: str, workers: int, count: int, port: int) -> None:
    """Price COUNT candidates of each of some workloads with 1 to WORKERS workers."""
    target, rates, costs = load(name), [], []
    with ExitStack() as open_ones:
        tracker = open_ones.enter_context(start_tracker(port=port)).address
        for number in range(1, workers + 1):
            open_ones.enter_context(start_worker(tracker))
            found, prices = rate(target, tracker, count)
            rates.append(found)
            costs.append(prices)
            click.echo(
                f"{number} worker(s): {found:.2f} candidates a second, {found / rates[0]:.2f} times one's"
            )
    click.echo("the same costs with each" if len(set(costs)) == 1 else "COSTS DIFFER")


if __name__ == "__main__":
    main()
