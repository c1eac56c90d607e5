# SPDX-License-Identifier: Apache-2.0
"""TVM's graph executor JSON: the kernels that a network calls, in order, on numbered tensors.

Takes the text, as TVM writes it and `codegen.kernel_object` adds to it; gives a `Graph`. It stands beside
what reads libraries, below all that read graphs (core model, builds, profiles, export), and needs no TVM.
"""

import math
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from mnc.support.errors import UserError

OBJECT, GRAPH = "kernels.o", "graph.json"  # an artifact's files
BYTES = {"float32": 4, "float16": 2, "int8": 1, "uint8": 1, "bool": 1, "int32": 4, "int64": 8}
RESHAPE = "__nop"  # nothing is called
LARGEST_SCRATCH = 2**30  # bytes of one thread
LARGEST_BORDER = 2**16  # pixels

# How threads do a kernel: see `codegen.thread_sharing`.
Way = Literal["shares", "alone", "forks"]
# What an argument is to the task that a kernel does: one of the task's tensors, as `templates.workload` names
# them, its result, or what is added after it (a bias, a residual).
Role = Literal["data", "kernel", "bias", "taps", "scale", "other", "output"]


class Tensor(msgspec.Struct, frozen=True):
    """One value of the graph. Tensors of one `buffer` are the same memory, seen in other shapes; those of one
    `storage` share it in the plan of TVM's own executor.
    """

    shape: tuple[int, ...]
    dtype: str
    buffer: int
    storage: int

    @property
    def elements(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes; KeyError for a type that is not of BYTES."""
        return self.elements * BYTES[self.dtype]


class KernelTask(msgspec.Struct, frozen=True):
    """The task that a kernel does, by its key in logs, and the role of each argument in calling order."""

    key: str
    roles: tuple[Role, ...]


class Storing(msgspec.Struct, frozen=True):
    """A kernel that does nothing but put floats on a grid of 8 bits, in blocks of channels and with a border
    of zero points around each image: of `top` rows and `left` columns before it. A pixel has `numbers`, with
    no more between it and the next, where that is not 0.
    """

    top: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_BORDER)]
    left: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_BORDER)]
    numbers: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_BORDER)] = 0


class Call(msgspec.Struct, frozen=True):
    """A kernel called with tensors, by number: first `inputs`, then `outputs`. `task` is None for a kernel
    that does none of ours, and in graphs of before tasks were written down. `node` is its number in TVM's
    executor.
    """

    kernel: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    way: Way = "forks"
    task: KernelTask | None = None
    storing: Storing | None = None
    node: int = 0

    def of_roles(self, *wanted: Role) -> tuple[int, ...]:
        """The tensors that have these roles in its task, in the order of `wanted`."""
        if self.task is None:
            return ()
        given = list(zip(self.task.roles, (*self.inputs, *self.outputs), strict=True))
        return tuple(entry for role in wanted for one, entry in given if one == role)


class Graph(msgspec.Struct, frozen=True):
    """A network. `inputs` are tensors by name, in order; `weights` those with constant content; `outputs` the
    results. `scratch_bytes` is what a kernel asks for on one thread, at most; None where it is not known.
    """

    tensors: tuple[Tensor, ...]
    calls: tuple[Call, ...]
    inputs: dict[str, int]
    weights: dict[str, int]
    outputs: tuple[int, ...]
    scratch_bytes: int | None


class _NodeAttrs(msgspec.Struct, frozen=True):
    func_name: str = ""
    flatten_data: str = "0"


class _Node(msgspec.Struct, frozen=True):
    op: Literal["null", "tvm_op"]
    name: str
    inputs: tuple[tuple[int, int, int], ...] = ()
    attrs: _NodeAttrs = _NodeAttrs()


class _Attrs(msgspec.Struct, frozen=True):
    """A list for each, after the name of its type."""

    shape: tuple[str, tuple[tuple[int, ...], ...]]
    dltype: tuple[str, tuple[str, ...]]
    storage_id: tuple[str, tuple[int, ...]]


class _Json(msgspec.Struct, frozen=True):
    """What is read of the executor's JSON. The last four are ours, by kernel where they are of kernels."""

    nodes: tuple[_Node, ...]
    arg_nodes: tuple[int, ...]
    heads: tuple[tuple[int, int, int], ...]
    node_row_ptr: tuple[int, ...]
    attrs: _Attrs
    scratch_bytes: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SCRATCH)] | None = None
    ways: dict[str, Way] = {}
    tasks: dict[str, KernelTask] = {}
    storing: dict[str, Storing] = {}


def load(folder: Path, *, weights: Collection[str] = ()) -> Graph:
    """The graph of the artifact at `folder`. UserError as `read`, and when there is none."""
    try:
        text = (folder / GRAPH).read_bytes()
    except OSError as error:
        raise UserError(f"{folder} has no {GRAPH} ({error.strerror}); build it again") from None
    return read(text, weights=weights, where=str(folder))


def read(text: str | bytes, *, weights: Collection[str] = (), where: str) -> Graph:
    """The graph in `text`; `weights` names the arguments whose content is known.

    UserError, naming `where` it was, when it is damaged.
    """
    try:
        return _graph(msgspec.json.decode(text, type=_Json), weights, where)
    except (msgspec.MsgspecError, ValueError, IndexError, RecursionError) as error:
        raise UserError(
            f"{where}: its graph cannot be read ({type(error).__name__}: {error}); build it again"
        ) from None


def _graph(json: _Json, weights: Collection[str], where: str) -> Graph:
    rows = json.node_row_ptr
    tensors = _tensors(json)
    calls = []
    for number, node in enumerate(json.nodes):
        if node.op == "null":
            continue
        entries = tuple(_entry(rows, one, before=number) for one in node.inputs)
        results = tuple(range(rows[number], rows[number + 1]))
        if _kernel(node, where) == RESHAPE:
            same = tensors[entries[0]].buffer
            tensors[results[0]] = msgspec.structs.replace(tensors[results[0]], buffer=same)
        else:
            calls.append(_call(json, number, entries, results))
    end = len(json.nodes)
    arguments = {
        json.nodes[node].name: _entry(rows, (node, 0, 0), before=end) for node in json.arg_nodes
    }
    return Graph(
        tensors=tuple(tensors),
        calls=tuple(calls),
        inputs={name: entry for name, entry in arguments.items() if name not in weights},
        weights={name: entry for name, entry in arguments.items() if name in weights},
        outputs=tuple(_entry(rows, one, before=end) for one in json.heads),
        scratch_bytes=json.scratch_bytes,
    )


def _entry(rows: tuple[int, ...], reference: tuple[int, int, int], *, before: int) -> int:
    """The tensor that a (node, output, version) names, of a node that comes `before` that number."""
    node, output, _ = reference
    if not 0 <= node < before or not 0 <= output < rows[node + 1] - rows[node]:
        raise ValueError(f"node {node} has no output {output} there")
    return rows[node] + output


def _tensors(json: _Json) -> list[Tensor]:
    """Each tensor in a buffer of its own."""
    shapes, dtypes, storage = json.attrs.shape[1], json.attrs.dltype[1], json.attrs.storage_id[1]
    rows = json.node_row_ptr
    if rows[0] != 0 or rows[-1] != len(shapes) or list(rows) != sorted(rows):
        raise ValueError(f"{len(shapes)} shapes for the tensors of {rows}")
    each = zip(shapes, dtypes, storage, strict=True)
    return [Tensor(shape, dtype, i, place) for i, (shape, dtype, place) in enumerate(each)]


def _kernel(node: _Node, where: str) -> str:
    name = node.attrs.func_name
    if node.attrs.flatten_data != "0":
        raise UserError(f"{where}: {node.name} flattens its tensors, which needs TVM's runtime")
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no kernel")
    return name


def _call(json: _Json, node: int, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Call:
    kernel = json.nodes[node].attrs.func_name
    if not outputs:
        raise ValueError(f"{kernel} makes nothing")
    task = json.tasks.get(kernel)
    if task is not None and len(task.roles) != len(inputs) + len(outputs):
        raise ValueError(f"{len(task.roles)} roles for the arguments of {kernel}")
    way, storing = json.ways.get(kernel, "forks"), json.storing.get(kernel)
    return Call(kernel, inputs, outputs, way, task, storing, node)
