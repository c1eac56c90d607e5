# SPDX-License-Identifier: Apache-2.0
"""Whether a freestanding library can run a graph: numbers of known types, float32 in and out.

Takes a `Graph`; gives the scratch memory that its kernels need, or a UserError.
"""

from mnc.compile.artifact.manifest import LARGEST_TENSOR
from mnc.compile.toolchain.graph import BYTES, Graph
from mnc.support.errors import UserError


def check(graph: Graph, *, where: str) -> int:
    """Bytes that a kernel asks for on one thread, at most. UserError, naming `where` the graph was, when it
    cannot be exported.
    """
    if graph.scratch_bytes is None:
        raise UserError(f"{where} was built without export in mind; build it again with this mnc")
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
    return graph.scratch_bytes
