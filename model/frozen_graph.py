# SPDX-License-Identifier: Apache-2.0
"""The float constants of a frozen TensorFlow graph, without TensorFlow.

Takes a .pb file (a protobuf `GraphDef`); gives a dict from node name to float32 array. Reads only
the few fields it needs of the protobuf wire format (protobuf.dev/programming-guides/encoding).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mnc.support.errors import UserError

# Field numbers from tensorflow/core/framework: graph.proto, node_def.proto, attr_value.proto,
# tensor.proto, tensor_shape.proto.
GRAPH_NODE = 1
NODE_NAME, NODE_OP, NODE_ATTR = 1, 2, 5
ENTRY_KEY, ENTRY_VALUE = 1, 2
ATTR_TENSOR = 8
TENSOR_DTYPE, TENSOR_SHAPE, TENSOR_CONTENT = 1, 2, 4
SHAPE_DIM, DIM_SIZE = 2, 1
DT_FLOAT = 1
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def constants(path: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Every `Const` node that holds float32 values as raw bytes. UserError for a damaged file."""
    found = {}
    try:
        for number, node in fields(memoryview(path.read_bytes())):
            if number == GRAPH_NODE:
                parts = list(fields(node))
                array = _float_value(parts) if _text(parts, NODE_OP) == "Const" else None
                if array is not None:
                    found[_text(parts, NODE_NAME)] = array
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a TensorFlow graph ({error}); fetch it again") from error
    return found


def fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """(field number, value) pairs of one protobuf message; nested messages stay bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + size > len(message):
            raise ValueError("cut short")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _text(parts: list[tuple[int, Any]], number: int) -> str:
    return next((bytes(value).decode() for key, value in parts if key == number), "")


def _float_value(parts: list[tuple[int, Any]]) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    for number, attribute in parts:
        if number != NODE_ATTR:
            continue
        entry = dict(fields(attribute))
        if bytes(entry[ENTRY_KEY]) != b"value":
            continue
        tensor = dict(fields(dict(fields(entry[ENTRY_VALUE]))[ATTR_TENSOR]))
        if tensor.get(TENSOR_DTYPE) != DT_FLOAT or TENSOR_CONTENT not in tensor:
            return None
        dims = [value for number, value in fields(tensor[TENSOR_SHAPE]) if number == SHAPE_DIM]
        shape = [dict(fields(dim)).get(DIM_SIZE, 0) for dim in dims]
        return np.frombuffer(tensor[TENSOR_CONTENT], "<f4").reshape(shape)
    return None
