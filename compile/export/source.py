# SPDX-License-Identifier: Apache-2.0
"""The C of an export: the tables the runtime works on.

Takes a `Graph`, its memory layout and the manifest; gives text. Every name with linkage gets the
export's prefix.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnc.compile.artifact.manifest import Grid, Manifest
from mnc.compile.artifact.manifest import Tensor as Port
from mnc.compile.codegen import alignment
from mnc.compile.export import feature_checks
from mnc.compile.export.intakes import Intake
from mnc.compile.export.memory_plan import MemoryPlan
from mnc.compile.export.numbers import Numbers
from mnc.compile.export.weights import Array
from mnc.compile.toolchain import stored_weights
from mnc.compile.toolchain.graph import Call, Graph, Tensor
from mnc.compile.toolchain.stored_weights import WeightStorage

RUNTIME = Path(__file__).parent / "runtime"
MAX_THREADS = 64
STACK_BYTES = 512 * 1024  # of a worker thread; kernels keep at most a few KiB there
CODES = {"float": 2, "int": 0, "uint": 1, "bool": 1}
# Bytes in the instance for a tensor, an argument and a worker on a 64-bit machine, and the rest.
TENSOR_BYTES, ARGUMENT_BYTES, WORKER_BYTES, OTHER_BYTES = 48, 12, 128, 1024
# A kernel that reads and writes no more is done before another thread has its first byte of it.
SMALL_BYTES = 32 * 1024


@dataclass(frozen=True)
class Contents:
    """All that goes into the C. `scratch_bytes` are what a kernel asks for on one thread, `arrays` the
    weights by name, `weight_storage` how the file has them, `cores` the fast cores of the target. `inputs`
    and `outputs` are as its functions have them, with the type and grid of those numbers, `entries` the
    inputs' own tensors. `graph` is without the kernels whose work the `intakes` do.
    """

    prefix: str
    manifest: Manifest
    graph: Graph
    scratch_bytes: int
    layout: MemoryPlan
    arrays: dict[str, Array]
    weight_storage: WeightStorage
    labels: tuple[str, ...]
    cores: int
    numbers: Numbers
    intakes: tuple[Intake, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    entries: tuple[int, ...]

    @property
    def fixed_bytes(self) -> int:
        """What an instance takes besides arena, scratch and stacks, at most."""
        arguments = sum(len(call.inputs) + len(call.outputs) for call in self.graph.calls)
        return alignment.align(
            TENSOR_BYTES * len(self.graph.tensors)
            + ARGUMENT_BYTES * arguments
            + WORKER_BYTES * MAX_THREADS
            + OTHER_BYTES
        )

    def weight_offsets(self) -> tuple[dict[str, int], int]:
        """Where each array begins among the weights, and how long they are in all."""
        offsets, end = {}, 0
        for name in self.graph.weights:
            offsets[name] = end
            end += alignment.align(self.arrays[name].nbytes)
        return offsets, end

    def halved(self, name: str) -> bool:
        """Whether the file has these weights in half precision."""
        return self.weight_storage == "fp16" and stored_weights.is_halved(self.arrays[name])

    def peak_bytes(self, threads: int) -> int:
        """The header's PEAK_BYTES(threads)."""
        each = self.scratch_bytes
        stacks = (threads - 1) * STACK_BYTES
        return self.fixed_bytes + self.layout.size + threads * each + stacks


def tables(contents: Contents) -> str:
    """The text of the C file that, with the runtime it includes, is the network."""
    graph, prefix, platform = contents.graph, contents.prefix, contents.manifest.target
    kernels = sorted({call.kernel for call in graph.calls})
    arguments = [entry for call in graph.calls for entry in (*call.inputs, *call.outputs)]
    labels = contents.labels or ("",)
    parts = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "#define _GNU_SOURCE /* sched_getaffinity */",
        f'#include "{prefix}.h"',
        f"#define PUBLIC(name) {prefix}_##name",
        f"#define PRIVATE(name) {private(prefix)}##name",
        *(f"#define {name} {value}" for name, value in _constants(contents, arguments).items()),
        f'#define INPUTS "inputs_{"bytes" if contents.intakes else "float"}.c"',
        f'#define OUTPUTS "outputs_{"float" if contents.numbers.outputs == "float32" else "int8"}.c"',
        f'#define WEIGHTS "weights_{"plain" if contents.weight_storage == "float32" else "halves"}.c"',
        f"#define FEATURES(F) {feature_checks.macro(platform.features, platform.arch)}",
        '#include "tables.h"',
        "extern const char PRIVATE(weights)[];",
        *(f"extern kernel PRIVATE({name});" for name in kernels),
        *_shapes(graph),
        _array("struct tensor", "tensors", _tensor_rows(contents)),
        *([] if contents.weight_storage == "float32" else [_stored(contents)]),
        _array("int32_t", "arguments", [str(entry) for entry in arguments]),
        _array("struct call", "calls", _call_rows(graph)),
        _array("struct port", "inputs", _port_rows(contents.entries, contents.inputs)),
        *(_intakes(contents) if contents.intakes else [_views(graph, contents.inputs)]),
        _array("struct port", "outputs", _port_rows(graph.outputs, contents.outputs)),
        _array("char *const", "labels", [quote(label) for label in labels]),
        '#include "runtime.c"',
    ]
    return "\n".join(parts) + "\n"


def weights_assembly(prefix: str) -> str:
    """An assembler file that makes `weights.bin`, beside it, a read-only symbol."""
    name = f"{private(prefix)}weights"
    return f"""\
    .section .rodata.{name}, "a", %progbits
    .balign {alignment.ALIGNMENT}
    .globl {name}
    .hidden {name}
    .type {name}, %object
{name}:
    .incbin "weights.bin"
    .size {name}, . - {name}
    .section .note.GNU-stack, "", %progbits
"""


def weights_bytes(contents: Contents) -> bytes:
    """The arrays one after the other as the file has them, each at an aligned offset."""
    parts = []
    for name in contents.graph.weights:
        array = contents.arrays[name]
        data = (array.astype(np.float16) if contents.halved(name) else array).tobytes()
        parts.append(data.ljust(alignment.align(len(data)), b"\0"))
    return b"".join(parts)


def _stored(contents: Contents) -> str:
    """Where each array lies in the file, and where in memory."""
    rows, start = [], 0
    for name, offset in contents.weight_offsets()[0].items():
        size, halved = contents.arrays[name].nbytes, contents.halved(name)
        rows.append(f"{{{start}, {offset}, {size}, {int(halved)}}}")
        start += alignment.align(size // 2 if halved else size)
    return _array("struct stored", "stored", rows)


def private(prefix: str) -> str:
    """What stands before a name that only the library's own objects may use."""
    return f"{prefix}_private_"


def quote(text: str) -> str:
    """A C string literal, ASCII only."""
    escaped = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(escaped)}"'


def _constants(contents: Contents, arguments: list[int]) -> dict[str, str | int]:
    return {
        "TENSORS": len(contents.graph.tensors),
        "ARGUMENTS": len(arguments),
        "CALLS": len(contents.graph.calls),
        "LABELS": len(contents.labels),
        "CORES": contents.cores,
        "MAX_THREADS": MAX_THREADS,
        "ARENA_BYTES": contents.layout.size,
        "SCRATCH_BYTES": contents.scratch_bytes,
        "STACK_BYTES": STACK_BYTES,
        "FIXED_BYTES": contents.fixed_bytes,
        "WEIGHT_BYTES": contents.weight_offsets()[1],
        "VERSION_TEXT": quote(contents.manifest.versions.mnc),
        "MODEL_TEXT": quote(contents.manifest.network.name),
    }


def _shapes(graph: Graph) -> list[str]:
    """One array for each shape there is."""
    return [
        f"static const int64_t {_shape_name(shape)}[] = {{{', '.join(map(str, shape))}}};"
        for shape in sorted({tensor.shape for tensor in graph.tensors if tensor.shape})
    ]


def _shape_name(shape: tuple[int, ...]) -> str:
    return "_".join(["shape", *map(str, shape)])


def _tensor_rows(contents: Contents) -> list[str]:
    offsets = contents.weight_offsets()[0]
    weights = {entry: offsets[name] for name, entry in contents.graph.weights.items()}
    rows = []
    for entry, tensor in enumerate(contents.graph.tensors):
        is_weight = entry in weights
        offset = weights[entry] if is_weight else contents.layout.offsets.get(tensor.buffer, 0)
        code, bits = _dtype(tensor)
        shape = _shape_name(tensor.shape) if tensor.shape else "NULL"
        rows.append(f"{{{offset}, {shape}, {len(tensor.shape)}, {int(is_weight)}, {code}, {bits}}}")
    return rows


def _dtype(tensor: Tensor) -> tuple[int, int]:
    """The code and bits of DLPack."""
    kind = tensor.dtype.rstrip("0123456789")
    return CODES[kind], 1 if kind == "bool" else int(tensor.dtype.removeprefix(kind))


def _call_rows(graph: Graph) -> list[str]:
    rows, first = [], 0
    for call in graph.calls:
        count = len(call.inputs) + len(call.outputs)
        rows.append(f"{{PRIVATE({call.kernel}), {first}, {count}, {_way(graph, call)}}}")
        first += count
    return rows


def _way(graph: Graph, call: Call) -> str:
    touched = sum(graph.tensors[entry].size for entry in (*call.inputs, *call.outputs))
    is_small = touched <= SMALL_BYTES
    return "ALONE" if is_small else call.way.upper()


def _port_rows(entries: tuple[int, ...], ports: tuple[Port, ...]) -> list[str]:
    """The library's ports, each with a tensor of its shape in the graph, type, scale and zero point."""
    return [
        f"{{{quote(port.name)}, {entry}, {math.prod(port.shape)}, {quote(port.dtype)}, {_grid(port.grid)}}}"
        for port, entry in zip(ports, entries, strict=True)
    ]


def _grid(grid: Grid | None) -> str:
    return "1, 0" if grid is None else f"{grid.scale:.9g}f, {grid.zero_point}"


def _intakes(contents: Contents) -> list[str]:
    """The tables that bytes are looked up in, and what they are tables of."""
    tables, rows = [], []
    for number, one in enumerate(contents.intakes):
        size = one.table.dtype.itemsize
        bits = one.table.view(np.uint8 if size == 1 else np.uint32).ravel()
        kind = "uint8_t" if size == 1 else "uint32_t"
        tables.append(_array(kind, f"table_{number}", [str(value) for value in bits]))
        extents = (*one.plain, one.block, *one.laid, *one.corner, one.fill)
        rows.append(f"{{{one.tensor}, {size}, {', '.join(map(str, extents))}, table_{number}}}")
    return [*tables, _array("struct intake", "intakes", rows)]


def _views(graph: Graph, ports: tuple[Port, ...]) -> str:
    """Every tensor that is an input, by its own name or in another shape, with the input's number."""
    inputs = {graph.tensors[graph.inputs[port.name]].buffer: i for i, port in enumerate(ports)}
    rows = [
        f"{{{entry}, {inputs[tensor.buffer]}}}"
        for entry, tensor in enumerate(graph.tensors)
        if tensor.buffer in inputs
    ]
    return _array("struct view", "views", rows)


def _array(kind: str, name: str, rows: list[str]) -> str:
    body = "".join(f"    {row},\n" for row in rows)
    return f"static const {kind} {name}[] = {{\n{body}}};"
