# SPDX-License-Identifier: Apache-2.0
"""Where the time of one inference goes: layer by layer, as the network runs, weights and caches cold
as they are then.

Takes a `Session`; gives a `Profile`: for each kernel its seconds, multiply-adds, GFLOP/s and share of
the machine's peak, with layout transforms (work that no layer asked for) counted apart.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from mnc.compile.runtime.layers import Layer, layers_of
from mnc.compile.runtime.session import Array, Session, default_input, use_threads
from mnc.compile.toolchain import graph

WARM_UP = 3  # inferences
SHORTEST = 1e-9  # seconds: less cannot be told from the call of a kernel


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
    times = layer_timer(session, *inputs)(runs)
    seconds = [statistics.median(column) for column in zip(*times, strict=True)]
    layers = [
        replace(layer, seconds=time, peak_gflops=peak_gflops)
        for layer, time in zip(kernels, seconds, strict=True)
    ]
    return Profile(layers=tuple(layers), threads=session.threads)


def layer_timer(session: Session, *inputs: Array) -> Callable[[int], list[list[float]]]:
    """A function that runs so many inferences, after some that warm up, and gives the seconds of each of the
    artifact's `layers_of` in each.

    It runs in a thread of its own, with whose first call's affinity its pool of TVM's threads stays.
    """
    import tvm

    inputs = inputs or default_input(session)
    session.check_inputs(inputs)
    executor = session.factory["debug_create"]("default", tvm.cpu(0))
    for tensor, array in zip(session.manifest.inputs, inputs, strict=True):
        executor["set_input"](tensor.name, tvm.nd.array(np.ascontiguousarray(array)))
    nodes = [call.node for call in graph.load(session.artifact.folder).calls]

    def run(runs: int) -> list[list[float]]:
        use_threads(session.threads)
        timed = [_run(executor["execute_node"], nodes) for _ in range(WARM_UP + runs)]
        return timed[WARM_UP:]

    own = ThreadPoolExecutor(max_workers=1)
    return lambda runs: own.submit(run, runs).result()


def _run(execute: Callable[[int], None], nodes: Sequence[int]) -> list[float]:
    """Seconds of each node in one inference. Not by TVM's own profiler, which runs three more for each.

    A node executed again does nothing: what that takes is the call's, not the kernel's.
    """
    execute(0)  # begins anew: before the first kernel come inputs
    seconds, idle = [], []
    for node in nodes:
        started = time.perf_counter()
        execute(node)
        done = time.perf_counter()
        execute(node)
        idle.append(time.perf_counter() - done)
        seconds.append(done - started)
    overhead = statistics.median(idle)
    return [max(one - overhead, SHORTEST) for one in seconds]
