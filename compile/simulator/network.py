# SPDX-License-Identifier: Apache-2.0
"""A whole built network on a core model: every kernel that its graph calls, layout transforms included.

Takes an artifact's folder (`kernels.o`, `graph.json`) and a `Target`; gives `Call`s. Kernels run one after
another, so the network takes their sum.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mnc.compile.simulator.simulate import Kernel, Simulation, decode, simulate
from mnc.support.errors import UserError
from mnc.targets import Target

OBJECT, GRAPH = "kernels.o", "graph.json"
NOTHING = "__nop"  # a reshape: nothing is called
Buffers = tuple[tuple[tuple[int, ...], str, bool], ...]


@dataclass(frozen=True)
class Call:
    """A kernel of the network: its name, how often it is called on such buffers, one call simulated."""

    function: str
    calls: int
    simulation: Simulation

    @property
    def seconds(self) -> float:
        """Of all its calls."""
        return self.calls * self.simulation.seconds


class _Node(msgspec.Struct, frozen=True):
    op: str
    inputs: list[list[int]]
    attrs: dict[str, Any] = {}


class _Graph(msgspec.Struct, frozen=True):
    nodes: list[_Node]
    node_row_ptr: list[int]
    attrs: dict[str, Any]


def seconds_of(folder: Path, target: Target, *, threads: int) -> float:
    """Seconds of one inference. UserError as `calls_of`."""
    return sum(call.seconds for call in calls_of(folder, target, threads=threads))


def calls_of(folder: Path, target: Target, *, threads: int) -> tuple[Call, ...]:
    """Every kernel of the artifact at `folder`, simulated cold on `threads` of the target's fast cores.

    UserError when the artifact is not whole, or a kernel has something that the model does not know.
    """
    try:
        code = (folder / OBJECT).read_bytes()
        graph = msgspec.json.decode((folder / GRAPH).read_bytes(), type=_Graph)
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(
            f"{folder} holds no kernels to simulate ({error}); build it again"
        ) from None
    called = Counter(_called(graph))
    decoded = None
    made = []
    for (function, buffers), count in called.items():
        kernel = Kernel(code, buffers, function=function)
        decoded = decoded or decode(kernel)
        found = simulate(kernel, target, threads=threads, state="cold", decoded=decoded)
        made.append(Call(function, count, found))
    return tuple(made)


def _called(graph: _Graph) -> list[tuple[str, Buffers]]:
    """(function, buffers) of each call in order: what it reads, then what it writes."""
    shapes, types = graph.attrs["shape"][1], graph.attrs["dltype"][1]
    found = []
    for number, node in enumerate(graph.nodes):
        name = str(node.attrs.get("func_name", NOTHING))
        if node.op != "tvm_op" or name == NOTHING:
            continue
        read = [graph.node_row_ptr[source[0]] + source[1] for source in node.inputs]
        written = range(graph.node_row_ptr[number], graph.node_row_ptr[number + 1])
        entries = [*((entry, False) for entry in read), *((entry, True) for entry in written)]
        buffers = tuple((tuple(shapes[i]), str(types[i]), output) for i, output in entries)
        found.append((name, buffers))
    return found
