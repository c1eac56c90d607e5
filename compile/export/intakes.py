# SPDX-License-Identifier: Apache-2.0
"""How a library that is given bytes comes to what its kernels read: by looking each byte up in a table.

Takes a graph, the manifest and the library's numbers; gives the graph without kernels that only put an input
on its grid, for the table does that, and an `Intake` for each input.
"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from mnc.compile.artifact.manifest import Grid, Manifest, Tensor
from mnc.compile.export.numbers import SIGN, Array, Numbers, no_grid, quantized, real
from mnc.compile.toolchain.graph import Call, Graph, Storing
from mnc.model.preprocess import normalise
from mnc.support.errors import UserError


@dataclass(frozen=True)
class Intake:
    """How an input's bytes become a `tensor` of the graph, by a `table` of 256 for each channel, of that
    tensor's type: `plain` (images, channels, height, width) in blocks of so many channels, `laid` out in
    (rows, numbers of a row) with a border of `fill`, whose `corner` has (rows above, columns to the left).
    """

    tensor: int
    table: Array
    plain: tuple[int, int, int, int]
    block: int
    laid: tuple[int, int]
    corner: tuple[int, int]
    fill: int


def intakes(graph: Graph, manifest: Manifest, numbers: Numbers) -> tuple[Graph, list[Intake]]:
    """None for floats. UserError where nothing says what bytes are to the network."""
    made: list[Intake] = []
    for port in manifest.inputs if numbers.inputs != "float32" else ():
        entry, table = graph.inputs[port.name], _real_values(port, manifest, numbers)
        kernel = _only_reader(graph, entry, port)
        if kernel is None or kernel.storing is None or port.grid is None:
            plain = _planes(port)
            made.append(Intake(entry, table, plain, 1, laid=plain[2:], corner=(0, 0), fill=0))
            continue
        (entry,) = kernel.outputs
        graph = msgspec.structs.replace(
            graph,
            calls=tuple(call for call in graph.calls if call is not kernel),
            inputs={**graph.inputs, port.name: entry},
        )
        made.append(_stored(graph, entry, port, kernel.storing, port.grid, table))
    return graph, made


def _real_values(port: Tensor, manifest: Manifest, numbers: Numbers) -> Array:
    """(channels, 256) float32: what each byte is to the network, the bytes from 0 to 255."""
    every = np.arange(256, dtype=np.uint8)
    if numbers.inputs == "int8":
        if port.grid is None:
            raise UserError(f"--inputs int8: {no_grid(manifest)}")
        return np.tile(real(every ^ SIGN, port.grid), (_planes(port)[1], 1))
    preprocess = manifest.preprocess
    if preprocess is None or len(port.shape) != 4 or port.shape[1] != len(preprocess.mean):
        raise UserError(
            f"--inputs uint8: nothing says how pixels become {port.name} of {manifest.network.name}; take "
            "float32, or int8 of a network in 8-bit integers"
        )
    gray = np.tile(every[:, None, None, None], (1, 1, 1, port.shape[1]))
    return normalise(gray, preprocess)[:, :, 0, 0].T


def _only_reader(graph: Graph, entry: int, port: Tensor) -> Call | None:
    """The kernel that alone reads an input; None where what it makes is neither an image nor as long."""
    buffer = graph.tensors[entry].buffer
    readers = [
        call for call in graph.calls if buffer in {graph.tensors[one].buffer for one in call.inputs}
    ]
    if len(readers) != 1 or len(readers[0].outputs) != 1:
        return None
    made = graph.tensors[readers[0].outputs[0]]
    is_known = len(port.shape) == 4 <= len(made.shape) or made.elements == math.prod(port.shape)
    return readers[0] if is_known else None


def _stored(
    graph: Graph, entry: int, port: Tensor, how: Storing, grid: Grid, table: Array
) -> Intake:
    """What the kernel that is left out would have made."""
    plain, tensor = _planes(port), graph.tensors[entry]
    is_image = len(port.shape) == 4
    rows, *row = tensor.shape[2:] if is_image else plain[2:]
    block = row[1] if len(row) > 1 else 1
    zero = np.array([grid.zero_point], np.uint8)
    return Intake(
        entry,
        _in_memory(quantized(table, grid), tensor.dtype),
        plain,
        block=how.numbers or block,
        laid=(rows, math.prod(row)),
        corner=(how.top, how.left),
        fill=int(_in_memory(zero, tensor.dtype).view(np.uint8)[0]),
    )


def _planes(port: Tensor) -> tuple[int, int, int, int]:
    """(images, channels, height, width) of N x C x H x W; of another shape one line of numbers."""
    if len(port.shape) != 4:
        return 1, 1, 1, math.prod(port.shape)
    images, channels, height, width = port.shape
    return images, channels, height, width


def _in_memory(stored: Array, dtype: str) -> Array:
    """Numbers of 0 to 255 as kernels have them: 128 less where these are for bytes with a sign."""
    return (stored ^ SIGN).view(np.int8) if dtype == "int8" else stored
