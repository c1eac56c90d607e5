# SPDX-License-Identifier: Apache-2.0
"""A whole built network on a core model: every kernel that its graph calls, layout transforms included.

Takes an artifact's folder (`kernels.o`, `graph.json`) and a `Target`; gives `SimulatedKernel`s. They run one
after another, so the network takes their sum.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mnc.compile.simulator.loader.arguments import KernelArgument
from mnc.compile.simulator.simulate import Kernel, Simulation, decode, simulate
from mnc.compile.toolchain import graph
from mnc.compile.toolchain.graph import Graph
from mnc.support.errors import UserError
from mnc.targets import Target

Buffers = tuple[KernelArgument, ...]


@dataclass(frozen=True)
class SimulatedKernel:
    """How often a kernel is called on buffers of these shapes, and one such call."""

    function: str
    calls: int
    simulation: Simulation

    @property
    def seconds(self) -> float:
        """Of all its calls."""
        return self.calls * self.simulation.seconds


def seconds_of(folder: Path, target: Target, *, threads: int) -> float:
    """Seconds of one inference. UserError as `calls_of`."""
    return sum(call.seconds for call in calls_of(folder, target, threads=threads))


def calls_of(folder: Path, target: Target, *, threads: int) -> tuple[SimulatedKernel, ...]:
    """Every kernel of the artifact at `folder`, simulated cold on `threads` of the target's fast cores.

    UserError when the artifact is not whole, or a kernel has something that the model does not know.
    """
    network = graph.load(folder)
    try:
        code = (folder / graph.OBJECT).read_bytes()
    except OSError as error:
        raise UserError(
            f"{folder} holds no kernels to simulate ({error}); build it again"
        ) from None
    called = Counter((call.kernel, _buffers(network, call)) for call in network.calls)
    decoded = None
    made = []
    for (function, buffers), count in called.items():
        kernel = Kernel(code, buffers, function=function)
        decoded = decoded or decode(kernel)
        found = simulate(kernel, target, threads=threads, state="cold", decoded=decoded)
        made.append(SimulatedKernel(function, count, found))
    return tuple(made)


def _buffers(network: Graph, call: graph.Call) -> Buffers:
    """What the call reads, then what it writes."""
    entries = [
        *((entry, False) for entry in call.inputs),
        *((entry, True) for entry in call.outputs),
    ]
    tensors = ((network.tensors[entry], is_output) for entry, is_output in entries)
    return tuple((tensor.shape, tensor.dtype, is_output) for tensor, is_output in tensors)
