# SPDX-License-Identifier: Apache-2.0
"""Trials a second and steadiness of our measuring against stock AutoTVM's, in one run.

Takes a task; gives both sides' rate and noise on the same configurations, measured in turns. Run as
`python -m bench.tuning_speed`. Stock is LocalBuilder and LocalRunner as the TVM documentation sets
them for CPUs (one run a repeat, ten repeats, cache flush), with the kernel on as many threads as ours.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from mnc.compile.measure.local import LocalMeasurer
from mnc.targets import Target, load

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask

CONFIGS, ROUNDS = 24, 4

Measure = Callable[[list[Any]], dict[int, float]]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One way of measuring: seconds and trials in all, and its noise.

    `noise` is the median over configurations of (largest - smallest) / median of the costs that the
    rounds gave the same configuration; `noise_best` is that of the faster half, which matters.
    """

    name: str
    trials: int
    failures: int
    seconds: float
    noise: float
    noise_best: float

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.trials / self.seconds


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides on one task."""

    task: str
    ours: Side
    stock: Side

    @property
    def speedup(self) -> float:
        """Our trials a second over stock's."""
        return self.ours.rate / self.stock.rate


def compare(
    task: "TunableTask",
    target: Target,
    *,
    configs: int = CONFIGS,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Comparison:
    """Measure `configs` configurations of `task` in turns, `rounds` times each. One thread a kernel.

    Starting up (processes, a tracker, a server) is not counted on either side.
    """
    space = task.task.config_space
    valid = [i for i in range(space.range_length) if space.is_index_valid(i)]
    chosen = np.random.default_rng(seed).permutation(valid)[:configs]
    entities = [space.get(int(index)) for index in chosen]
    with _ours(task, target) as ours, _stock(task) as stock:
        taken: dict[str, float] = {"ours": 0.0, "stock": 0.0}
        costs: dict[str, list[dict[int, float]]] = {"ours": [], "stock": []}
        for measure in (ours, stock):
            measure(entities[:2])  # the first batch starts processes
        for turn in range(rounds):
            sides = [("ours", ours), ("stock", stock)]
            for name, measure in sides if turn % 2 == 0 else reversed(sides):
                started = time.perf_counter()
                costs[name].append(measure(entities))
                taken[name] += time.perf_counter() - started
    return Comparison(
        task=f"{task.kind} {task.shape}",
        ours=_side("ours", len(entities), taken["ours"], costs["ours"]),
        stock=_side("stock", len(entities), taken["stock"], costs["stock"]),
    )


@contextmanager
def _ours(task: "TunableTask", target: Target) -> Iterator[Measure]:
    def measure(entities: list[Any]) -> dict[int, float]:
        found = {}
        for start in range(0, len(entities), one.batch):
            batch = entities[start : start + one.batch]
            found.update({t.config.index: t.cost for t in one.measure(task, batch)})
        return {index: cost for index, cost in found.items() if np.isfinite(cost)}

    with LocalMeasurer(target) as one:
        yield measure


@contextmanager
def _stock(task: "TunableTask") -> Iterator[Measure]:
    from tvm import autotvm

    os.environ["TVM_NUM_THREADS"] = "1"  # inherited by the server that runs the kernels
    option = autotvm.measure_option(
        builder=autotvm.LocalBuilder(build_kwargs={"build_option": {"tir.disable_cse_tir": True}}),
        runner=autotvm.LocalRunner(number=1, repeat=10, enable_cpu_cache_flush=True),
    )
    batch = autotvm.measure.create_measure_batch(task.task, option)

    def measure(entities: list[Any]) -> dict[int, float]:
        found = {}
        for start in range(0, len(entities), batch.n_parallel):
            some = entities[start : start + batch.n_parallel]
            given = [autotvm.MeasureInput(task.task.target, task.task, entity) for entity in some]
            for entity, result in zip(some, batch(given), strict=True):
                if result.error_no == 0:
                    found[entity.index] = float(np.mean(result.costs))
        return found

    yield measure


def _side(name: str, count: int, seconds: float, rounds: list[dict[int, float]]) -> Side:
    always = set.intersection(*(set(costs) for costs in rounds))
    series = sorted(([costs[i] for costs in rounds] for i in always), key=statistics.median)
    spreads = [(max(s) - min(s)) / statistics.median(s) for s in series]
    best = spreads[: max(1, len(spreads) // 2)]
    return Side(
        name=name,
        trials=count * len(rounds),
        failures=sum(count - len(costs) for costs in rounds),
        seconds=seconds,
        noise=statistics.median(spreads) if spreads else float("nan"),
        noise_best=statistics.median(best) if spreads else float("nan"),
    )


def lines(found: Comparison) -> list[str]:
    """The comparison as text."""
    rows = [f"{found.task}: {found.speedup:.1f} times stock's trials a second"]
    rows += [
        f"  {side.name:5} {side.rate:6.2f} trials/s, noise {side.noise:6.2%} "
        f"(faster half {side.noise_best:6.2%}), {side.failures} failed of {side.trials}"
        for side in (found.ours, found.stock)
    ]
    return rows


def examples(target: Target) -> tuple["TunableTask", ...]:
    """The pointwise and the depthwise shape that MobileNet v1 uses most."""
    import tvm

    from mnc.compile.frontend import tasks
    from mnc.compile.templates import depthwise, pointwise

    lanes = target.lanes
    blocks = 512 // lanes
    data = ("TENSOR", (1, blocks, 14, 14, lanes), "float32")
    layout = f"NCHW{lanes}c"
    shapes = (
        (pointwise.NAME, (blocks, blocks, 1, 1, lanes, lanes), 0),
        (depthwise.NAME, (blocks, 1, 3, 3, 1, lanes), 1),
    )
    made = []
    for name, weights, padding in shapes:
        numbers = ((1, 1), (padding,) * 4, (1, 1))
        args = (data, ("TENSOR", weights, "float32"), *numbers, layout, layout, "float32")
        tvm_target = tvm.target.Target(target.tvm_target())
        made.append(tasks.from_workload(name, args, tvm_target, calls=5))
    return tuple(made)


def main() -> None:
    """Compare on this machine's target and print."""
    target = load("host")
    for task in examples(target):
        sys.stdout.write("\n".join(lines(compare(task, target))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
