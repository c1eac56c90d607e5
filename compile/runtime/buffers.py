# SPDX-License-Identifier: Apache-2.0
"""The memory of TVM's arrays as numpy's. Takes an NDArray of this process; gives a writable array."""

import ctypes
from typing import Any

import numpy as np


def memory_of(buffer: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """The buffer's own memory (DLPack's view of it is read-only), for as long as `buffer` lives."""
    tensor, dtype = buffer.handle.contents, np.dtype(buffer.dtype)
    size = dtype.itemsize * int(np.prod(buffer.shape, dtype=np.int64))
    memory = (ctypes.c_uint8 * size).from_address(tensor.data + tensor.byte_offset)
    return np.ndarray(buffer.shape, dtype, memory)
