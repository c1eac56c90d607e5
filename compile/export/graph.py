# SPDX-License-Identifier: Apache-2.0
"""TVM's graph executor JSON as a list of kernel calls on numbered tensors.

Takes the JSON text; gives a `Graph`. Only what a freestanding library can run is accepted: float32
inputs and outputs on the CPU, compiled kernels and reshapes that copy nothing.
"""

import math
from typing import Annotated, Any, Literal

import msgspec

from mnc.compile.artifact.manifest import LARGEST_TENSOR
from mnc.support.errors import UserError

BYTES = {"float32": 4, "float16": 2, "int8": 1, "uint8": 1, "bool": 1, "int32": 4, "int64": 8}
RESHAPE = "__nop"
# How threads do a kernel: see `sharing`, which is not imported, for it needs TVM.
Way = Literal["shares", "alone", "forks"]
LARGEST_SCRATCH = 2**30  # bytes of one thread


class Tensor(msgspec.Struct, frozen=True):
    """One value of the graph. Tensors of one `buffer` are the same memory, seen in other shapes."""

    shape: tuple[int, ...]
    dtype: str
    buffer: int

    @property
    def elements(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.elements * BYTES[self.dtype]


class Call(msgspec.Struct, frozen=True):
    """A kernel called with tensors, by number: first `inputs`, then `outputs`."""

    kernel: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    way: Way = "forks"


class Graph(msgspec.Struct, frozen=True):
    """A network. `inputs` are tensors by name, in order; `weights` those with constant content;
    `outputs` the results. `scratch_bytes` is what a kernel asks for on one thread, at most.
    """

    tensors: tuple[Tensor, ...]
    calls: tuple[Call, ...]
    inputs: dict[str, int]
    weights: dict[str, int]
    outputs: tuple[int, ...]
    scratch_bytes: int


class _Node(msgspec.Struct):
    op: str
    name: str
    inputs: tuple[tuple[int, int, int], ...] = ()
    attrs: dict[str, str] = {}


class _Json(msgspec.Struct):
    """What is read of the executor's JSON. The last two are ours: `kernels.write` adds them."""

    nodes: tuple[_Node, ...]
    arg_nodes: tuple[int, ...]
    heads: tuple[tuple[int, int, int], ...]
    node_row_ptr: tuple[int, ...]
    attrs: dict[str, tuple[str, list[Any]]]
    scratch_bytes: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SCRATCH)] | None = None
    ways: dict[str, Way] = {}


def read(text: str | bytes, *, weights: set[str], where: str) -> Graph:
    """The graph in `text`; `weights` names the arguments whose content is known.

    UserError, naming `where` it was, when it is damaged or needs what only TVM's runtime has.
    """
    try:
        return _graph(msgspec.json.decode(text, type=_Json), weights, where)
    except (msgspec.MsgspecError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"{where}: its graph cannot be read ({type(error).__name__}: {error}); build it again"
        ) from None


def _graph(json: _Json, weights: set[str], where: str) -> Graph:
    if json.scratch_bytes is None:
        raise UserError(f"{where} was built without export in mind; build it again with this mnc")
    rows = json.node_row_ptr
    tensors = _tensors(json)
    calls = []
    for number, node in enumerate(json.nodes):
        entries = tuple(_entry(rows, one, before=number) for one in node.inputs)
        results = tuple(range(rows[number], rows[number + 1]))
        if node.op == "null":
            continue
        kernel = _kernel(node, where)
        if kernel == RESHAPE:
            tensors[results[0]] = msgspec.structs.replace(
                tensors[results[0]], buffer=tensors[entries[0]].buffer
            )
        else:
            calls.append(Call(kernel, entries, results, json.ways.get(kernel, "forks")))
    arguments = {json.nodes[node].name: rows[node] for node in json.arg_nodes}
    graph = Graph(
        tensors=tuple(tensors),
        calls=tuple(calls),
        inputs={name: entry for name, entry in arguments.items() if name not in weights},
        weights={name: entry for name, entry in arguments.items() if name in weights},
        outputs=tuple(_entry(rows, one, before=len(json.nodes)) for one in json.heads),
        scratch_bytes=json.scratch_bytes,
    )
    _check(graph, where)
    return graph


def _entry(rows: tuple[int, ...], reference: tuple[int, int, int], *, before: int) -> int:
    """The tensor that a (node, output, version) names, of a node that comes `before` that number."""
    node, output, _ = reference
    if not 0 <= node < before or not 0 <= output < rows[node + 1] - rows[node]:
        raise ValueError(f"node {node} has no output {output} there")
    return rows[node] + output


def _tensors(json: _Json) -> list[Tensor]:
    """Each tensor in a buffer of its own: the memory is planned anew (see `memory`)."""
    shapes, dtypes = json.attrs["shape"][1], json.attrs["dltype"][1]
    pairs = zip(shapes, dtypes, strict=True)
    tensors = [
        Tensor(tuple(int(d) for d in shape), str(dtype), i)
        for i, (shape, dtype) in enumerate(pairs)
    ]
    if len(tensors) != json.node_row_ptr[-1]:
        raise ValueError(f"{len(tensors)} shapes for {json.node_row_ptr[-1]} tensors")
    return tensors


def _kernel(node: _Node, where: str) -> str:
    name = node.attrs.get("func_name", "")
    if node.op != "tvm_op" or node.attrs.get("flatten_data", "0") != "0":
        raise UserError(
            f"{where}: {node.name} ({node.op}) needs TVM's runtime; it cannot be exported"
        )
    if name != RESHAPE and not name.isidentifier():
        raise ValueError(f"{name!r} is no kernel")
    return name


def _check(graph: Graph, where: str) -> None:
    for tensor in graph.tensors:
        possible = all(0 <= extent <= LARGEST_TENSOR for extent in tensor.shape)
        if tensor.dtype not in BYTES or not possible or tensor.elements > LARGEST_TENSOR:
            raise UserError(
                f"{where} has tensors of {tensor.dtype}{list(tensor.shape)}: not supported"
            )
    for entry in (*graph.inputs.values(), *graph.outputs):
        if graph.tensors[entry].dtype != "float32":
            raise UserError(
                f"{where}: only networks with float32 inputs and outputs can be exported"
            )
