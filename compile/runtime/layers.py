# SPDX-License-Identifier: Apache-2.0
"""The layers of a network: the kernels that its graph calls, and how much work each of them is.

Takes an `Artifact`; gives `Layer`s, not timed yet. Those that do a task are what the manifest says of it; of
the others only the kernel's name tells.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mnc.compile.artifact.manifest import KernelEntry
from mnc.compile.artifact.store import Artifact
from mnc.compile.runtime import kernel_names
from mnc.compile.runtime.kernel_names import Shape
from mnc.compile.toolchain import graph
from mnc.compile.toolchain.graph import Call, Graph

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layer:
    """One kernel call. `shape` is input, weights -> output; `seconds` the median over the runs; `key` that of
    the task it does, None for any other.

    `macs` are multiply-adds as computed, channels that only fill a vector included; 0 for kernels
    that are no convolution or dense layer. `traffic` is bytes: input, weights and output once each.
    `peak_share` is None where no peak is known.
    """

    name: str
    kind: str
    shape: str
    macs: int
    traffic: int = 0
    key: str | None = None
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


def layers_of(artifact: Artifact) -> list[Layer]:
    """The kernel calls of the artifact's network. UserError when its graph is missing or damaged."""
    network = graph.load(artifact.folder)
    tasks = {kernel.key: kernel for kernel in artifact.manifest.kernels}
    if tasks and not any(call.task for call in network.calls):
        logger.warning(
            "%s does not say which task each kernel does: fused layers have no multiply-adds; build it again",
            artifact.folder,
        )
    return [_layer(network, call, tasks) for call in network.calls]


def _layer(network: Graph, call: Call, tasks: Mapping[str, KernelEntry]) -> Layer:
    """A layer by its task, or by its name."""
    task = tasks.get(call.task.key) if call.task is not None else None
    made = network.tensors[call.outputs[0]].shape
    if task is not None:
        entries = call.of_roles("data", "kernel", "taps")
        read = _shapes(network, entries)
        kind, macs = task.kind, task.macs
    else:
        every = _shapes(network, call.inputs)
        weights = kernel_names.weights(call.kernel, every)
        read = (*every[:1], *weights)
        entries = tuple(one for one in call.inputs if network.tensors[one].shape in read)
        kind = kernel_names.kind(call.kernel, weights, made)
        macs = kernel_names.macs(weights, made)
    return Layer(
        name=call.kernel.removeprefix(kernel_names.PREFIX),
        kind=kind,
        shape=f"{' * '.join(map(_text, read))} -> {_text(made)}",
        macs=macs,
        traffic=sum(_bytes(network, one) for one in {*entries, call.outputs[0]}),
        key=None if task is None else task.key,
    )


def _bytes(network: Graph, entry: int) -> int:
    tensor = network.tensors[entry]
    return tensor.elements * graph.BYTES.get(tensor.dtype, 4)


def _shapes(network: Graph, entries: Sequence[int]) -> tuple[Shape, ...]:
    return tuple(network.tensors[entry].shape for entry in entries)


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))
