# SPDX-License-Identifier: Apache-2.0
"""The arguments of a packed function, as TVM's runtime would hand them over.

Takes buffers by shape and type; places values, type codes, DLTensors and data in an image.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.loader.builder import PAGE, ImageBuilder

MMAP_THRESHOLD = 128 << 10  # of glibc's malloc: larger blocks begin a page (after a header)
HEADER = 16
ALIGNMENT = 64  # of TVM's arrays and workspaces
FLOAT32 = (2, 32, 1)
DTYPES = {
    "float32": FLOAT32,
    "float16": (2, 16, 1),
    "int32": (0, 32, 1),
    "int16": (0, 16, 1),
    "int8": (0, 8, 1),
    "uint8": (1, 8, 1),
}
ARRAY_HANDLE = 13  # kTVMNDArrayHandle

KernelArgument = tuple[tuple[int, ...], str, bool]  # shape, type, whether it is written


class PlacedBuffer(NamedTuple):
    """Where one argument's data are, and on how many axes."""

    address: int
    size: int
    axes: int
    is_output: bool


def place_arguments(make: ImageBuilder, arguments: Sequence[KernelArgument]) -> tuple[int, ...]:
    """Room for TVMValues, type codes and DLTensors; their addresses, the tensors' last."""
    count = len(arguments)
    codes = make.put(struct.pack(f"<{count}i", *[ARRAY_HANDLE] * count))
    result, result_code = make.take(8), make.take(8)
    values = make.take(8 * count)
    size = 48 if make.word == 8 else 40
    tensors = [make.take(size, 16) for _ in arguments]
    for i, tensor in enumerate(tensors):
        make.chunks.append((values + 8 * i, make.words([tensor])))
    return (values, codes, count, result, result_code, 0, *tensors)


def place_buffers(
    make: ImageBuilder, call: tuple[int, ...], arguments: Sequence[KernelArgument]
) -> tuple[PlacedBuffer, ...]:
    """Data where an allocator would put them, in calling order, and what the DLTensors say of them."""
    buffers = []
    for tensor, (shape, dtype, is_output) in zip(call[6:], arguments, strict=True):
        if dtype not in DTYPES:
            raise SimulationError(f"buffers of {dtype} are not known; use one of {list(DTYPES)}")
        code, bits, lanes = DTYPES[dtype]
        sizes = make.put(struct.pack(f"<{len(shape)}q", *shape))
        size = bits // 8
        for dimension in shape:
            size *= dimension
        if size >= MMAP_THRESHOLD:
            data = make.take(size + ALIGNMENT, PAGE) + ALIGNMENT
        else:
            make.take(HEADER)
            data = make.take(size, ALIGNMENT)
        head = make.words([data]) + struct.pack("<iiiBBH", 1, 0, len(shape), code, bits, lanes)
        tail = make.words([sizes, 0])
        align = bytes(-len(head + tail) % 8) if make.word == 4 else b""
        make.chunks.append((tensor, head + tail + align + struct.pack("<Q", 0)))
        buffers.append(PlacedBuffer(data, size, len(shape), is_output))
    return tuple(buffers)
