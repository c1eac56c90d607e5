# SPDX-License-Identifier: Apache-2.0
"""Where the time of one inference goes: layer by layer, as the network runs, weights and caches cold
as they are then.

Takes a `Session`; gives a `Profile`: for each kernel its seconds, multiply-adds, GFLOP/s and share of
the machine's peak, with layout transforms (work that no layer asked for) counted apart.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from mnc.compile.runtime.session import Array, Session, default_input, fresh_pool

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

    `peak_gflops` is what the machine can do with the session's threads; see `mnc.compile.machine.peaks`.
    """
    timer = layer_timer(session, *inputs)
    times = [timer() for _ in range(runs)]
    kernels = layers_of(session.factory["get_graph_json"]())
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
    `layers_of` its graph.
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

    return run


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
        kernels = _kernels(name, read)
        found.append(
            Layer(
                name=name.removeprefix(PREFIX),
                kind=_kind(name, kernels, made),
                shape=shape_text(read[0], kernels, made),
                macs=_macs(read[0], kernels, made),
                traffic=4 * sum(math.prod(shape) for shape in (read[0], *kernels, made)),
            )
        )
    return found


def shape_text(data: Sequence[int], kernels: Sequence[Sequence[int]], made: Sequence[int]) -> str:
    """Input, weights where there are any, and output of a kernel: "1x8 * 4x8 -> 1x4"."""
    return f"{' * '.join(_text(shape) for shape in (data, *kernels))} -> {_text(made)}"


def _kind(name: str, kernels: Sequence[Sequence[int]], made: Sequence[int]) -> str:
    """As tasks are called where it is one; else by the operators that TVM names a kernel after."""
    if len(kernels) > 1:
        return "fused"
    if "depthwise" in name:
        return "depthwise"
    if "conv2d" in name and kernels:
        weights = kernels[0]
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


def _kernels(name: str, read: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Shapes of the weights: two where a convolution is fused with the depthwise one after it."""
    if "conv" not in name and "dense" not in name:
        return []
    blocked: list[tuple[int, ...]] = [shape for shape in read[1:] if len(shape) == 6]
    if blocked:
        return blocked
    ranks = (4,) if "conv" in name else (2, 3)
    return [shape for shape in read[1:] if len(shape) in ranks][:1]


def _macs(data: tuple[int, ...], kernels: Sequence[tuple[int, ...]], made: tuple[int, ...]) -> int:
    """Every element made sums over the weights' axes that are not output channels."""
    if len(kernels) == 2:
        between = _between(data, kernels[0], made)
        return _macs(data, kernels[:1], between) + _macs(between, kernels[1:], made)
    if not kernels:
        return 0
    # OIHW or OIHW{i}{o}; for dense layers OI, or OI{o}.
    weights = kernels[0]
    summed = weights[1:5] if len(weights) >= 4 else weights[1:2]
    return math.prod(made) * math.prod(summed)


def _between(
    data: tuple[int, ...], first: tuple[int, ...], made: tuple[int, ...]
) -> tuple[int, ...]:
    """What a fused kernel's first convolution makes. The graph keeps no strides: a 1x1 convolution has none,
    and of a larger one and a depthwise one the first halves first, as in every MobileNet.
    """
    size = data[2:4]
    if first[2:4] != (1, 1) and made[2] < data[2]:
        size = (-(-data[2] // 2), -(-data[3] // 2))
    return (made[0], first[0], *size, first[5])


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
