# SPDX-License-Identifier: Apache-2.0
"""Where the time of one inference goes: layer by layer, as the network runs, weights and caches cold
as they are then.

Takes a `Session`; gives a `Profile`: for each kernel its seconds, multiply-adds, GFLOP/s and share of
the machine's peak, with layout transforms (work that no layer asked for) counted apart.
"""

import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnc.compile.runtime.layers import Layer, layers_of
from mnc.compile.runtime.session import Array, Session, default_input, fresh_pool
from mnc.compile.toolchain.graph import RESHAPE


@dataclass(frozen=True)
class Profile:
    """The layers in the order in which they run."""

    layers: tuple[Layer, ...]
    threads: int

    @property
    def seconds(self) -> float:
        """The sum of the layers' medians."""
        return sum(layer.seconds for layer in self.layers)

    @property
    def transform_share(self) -> float:
        """Share of the time that goes to layout transforms, 0 to 1."""
        moving = sum(layer.seconds for layer in self.layers if layer.is_transform)
        return moving / self.seconds if self.seconds else 0.0


def profile(
    session: Session,
    *inputs: Array,
    runs: int = 20,
    peak_gflops: float | None = None,
) -> Profile:
    """Time every kernel within `runs` whole inferences (random inputs when none are given).

    `peak_gflops` is what the machine can do with the session's threads; see `mnc.compile.machine.peaks`.
    UserError as `layers_of`.
    """
    kernels = layers_of(session.artifact)
    timer = layer_timer(session, *inputs)
    times = [timer() for _ in range(runs)]
    if any(len(one) != len(kernels) for one in times):
        raise RuntimeError("the profiler timed other kernels than the graph lists")
    seconds = [statistics.median(column) for column in zip(*times, strict=True)]
    layers = [
        replace(layer, seconds=time, peak_gflops=peak_gflops)
        for layer, time in zip(kernels, seconds, strict=True)
    ]
    return Profile(layers=tuple(layers), threads=session.threads)


def layer_timer(session: Session, *inputs: Array) -> Callable[[], list[float]]:
    """A function that runs one inference, after three that warm up, and gives the seconds of each of the
    artifact's `layers_of`.

    It runs in a thread of its own, with whose first call's affinity it stays. TVM has a pool for each thread,
    and its profiler starts the pool's workers anew for every report: those that are not used would spin for
    300,000 turns on the very CPU that is timed.
    """
    import tvm

    inputs = inputs or default_input(session)
    session.check_inputs(inputs)
    executor = session.factory["debug_create"]("default", tvm.cpu(0))
    for tensor, array in zip(session.manifest.inputs, inputs, strict=True):
        executor["set_input"](tensor.name, tvm.nd.array(np.ascontiguousarray(array)))

    def run() -> list[float]:
        with fresh_pool(session.threads):
            return _run(executor)

    own = ThreadPoolExecutor(max_workers=1)
    return lambda: own.submit(run).result()


def _run(executor: Any) -> list[float]:
    import tvm

    report = executor["profile"](tvm.runtime.convert([]))
    # A reshape calls nothing, and the report lists it in newer builds only.
    return [
        float(call["Duration (us)"].microseconds) * 1e-6
        for call in report.calls
        if not str(call["Name"]).startswith(RESHAPE)
    ]
