# SPDX-License-Identifier: Apache-2.0
"""Where the time of one inference goes: layer by layer, as the network runs, weights and caches cold
as they are then.

Takes a `Session`; gives a `Profile`: for each kernel its seconds, multiply-adds, GFLOP/s and share of
the machine's peak, with layout transforms (work that no layer asked for) counted apart.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from compile.runner import Array, Session, default_input, fresh_pool

PREFIX = "tvmgen_default_fused_"
# What a kernel is, by the first of these that its name holds.
WORDS = {
    "conv2d": "conv",
    "dense": "dense",
    "pool": "pool",
    "mean": "pool",
    "layout_transform": "layout transform",
}


class _Node(msgspec.Struct, frozen=True):
    op: str
    name: str
    inputs: list[list[int]]
    attrs: dict[str, Any] = {}


class _Graph(msgspec.Struct, frozen=True):
    """The part of TVM's graph JSON that says what runs, on what shapes."""

    nodes: list[_Node]
    node_row_ptr: list[int]
    attrs: dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """One kernel call. `shape` is input, weights -> output; `seconds` the median over the runs.

    `macs` are multiply-adds as computed, channels that only fill a vector included; 0 for kernels
    that are no convolution or dense layer. `traffic` is bytes: input, weights and output once each.
    `peak_share` is None where no peak is known.
    """

    name: str
    kind: str
    shape: str
    macs: int
    traffic: int = 0
    seconds: float = 0.0
    peak_gflops: float | None = None

    @property
    def gflops(self) -> float:
        """10^9 operations a second, a multiply-add counting two."""
        return 2e-9 * self.macs / self.seconds if self.seconds else 0.0

    @property
    def peak_share(self) -> float | None:
        """Share of the machine's peak, 0 to 1."""
        return self.gflops / self.peak_gflops if self.peak_gflops else None

    @property
    def is_transform(self) -> bool:
        """Whether it only moves data from one layout to another."""
        return self.kind == "layout transform"


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

    `peak_gflops` is what the machine can do with the session's threads; see `compile.machine`.
    """
    import tvm

    inputs = inputs or default_input(session)
    session.check_inputs(inputs)
    executor = session.factory["debug_create"]("default", tvm.cpu(0))
    for tensor, array in zip(session.manifest.inputs, inputs, strict=True):
        executor["set_input"](tensor.name, tvm.nd.array(np.ascontiguousarray(array)))
    with fresh_pool(session.threads):
        times = [_run(executor) for _ in range(runs)]
    kernels = layers_of(session.factory["get_graph_json"]())
    if any(len(one) != len(kernels) for one in times):
        raise RuntimeError("the profiler timed other kernels than the graph lists")
    seconds = [statistics.median(column) for column in zip(*times, strict=True)]
    layers = [
        replace(layer, seconds=time, peak_gflops=peak_gflops)
        for layer, time in zip(kernels, seconds, strict=True)
    ]
    return Profile(layers=tuple(layers), threads=session.threads)


def layers_of(graph_json: str) -> list[Layer]:
    """The kernel calls of a TVM graph, not timed yet."""
    graph = msgspec.json.decode(graph_json, type=_Graph)
    shapes = graph.attrs["shape"][1]
    found = []
    for number, node in enumerate(graph.nodes):
        name = str(node.attrs.get("func_name", "__nop"))
        if node.op != "tvm_op" or name == "__nop":
            continue
        read = [tuple(shapes[graph.node_row_ptr[source[0]] + source[1]]) for source in node.inputs]
        made = tuple(shapes[graph.node_row_ptr[number]])
        weights = _weights(name, read)
        text = " * ".join(_text(shape) for shape in (read[0], weights) if shape)
        found.append(
            Layer(
                name=name.removeprefix(PREFIX),
                kind=_kind(name, weights, made),
                shape=f"{text} -> {_text(made)}",
                macs=_macs(weights, made),
                traffic=4 * sum(math.prod(shape) for shape in (read[0], weights, made) if shape),
            )
        )
    return found


def _kind(name: str, weights: Sequence[int], made: Sequence[int]) -> str:
    """As tasks are called where it is one; else by the operators that TVM names a kernel after."""
    if "depthwise" in name:
        return "depthwise"
    if "conv2d" in name and weights:
        channels = weights[1] * (weights[4] if len(weights) == 6 else 1)
        if tuple(weights[2:4]) == (1, 1):
            return "dense" if tuple(made[2:4]) == (1, 1) else "pointwise"
        return "first conv" if channels <= 4 else "conv"
    return next((kind for word, kind in WORDS.items() if word in name), "other")


def _run(executor: Any) -> list[float]:
    import tvm

    report = executor["profile"](tvm.runtime.convert([]))
    # A reshape moves nothing: the graph calls it __nop, and the report lists it in newer builds only.
    return [
        float(call["Duration (us)"].microseconds) * 1e-6
        for call in report.calls
        if not str(call["Name"]).startswith("__nop")
    ]


def _weights(name: str, read: list[tuple[int, ...]]) -> tuple[int, ...]:
    if "conv2d" not in name and "dense" not in name:
        return ()
    ranks = (4, 6) if "conv2d" in name else (2, 3)
    return next((shape for shape in read[1:] if len(shape) in ranks), ())


def _macs(weights: tuple[int, ...], made: tuple[int, ...]) -> int:
    """Every output element sums over the weights' axes that are not output channels."""
    if not weights:
        return 0
    # OIHW or OIHW{i}{o}; for dense layers OI, or OI{o}.
    summed = weights[1:5] if len(weights) >= 4 else weights[1:2]
    return math.prod(made) * math.prod(summed)


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
