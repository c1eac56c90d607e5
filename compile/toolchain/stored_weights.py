# SPDX-License-Identifier: Apache-2.0
"""Weights of a float32 network that are stored in half precision: half the file, the arithmetic as before.

Takes arrays; says which are stored so, and under which name an executor's library has them: one that TVM's
runtime does not know. Who opens the library widens them, once.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

WeightStorage = Literal["float32", "fp16"]
STORAGES: tuple[WeightStorage, ...] = get_args(WeightStorage)
LARGEST = float(np.finfo(np.float16).max)
LEAST_BYTES = 8 * 1024  # of smaller arrays, biases above all, nothing is to be had
MARK = "half:"  # before the name


def is_halved(array: NDArray[Any]) -> bool:
    """Whether an array is stored in half precision where it is asked for: a large one within its range."""
    large = array.dtype == np.float32 and array.nbytes >= LEAST_BYTES
    return large and bool((np.abs(array) <= LARGEST).all())


def rounded(array: NDArray[Any]) -> NDArray[Any]:
    """The numbers, in float32, that are left of an array."""
    return array.astype(np.float16).astype(np.float32) if is_halved(array) else array


def marked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays as they are stored, by the name that says so."""
    halves = {
        f"{MARK}{name}": array.astype(np.float16)
        for name, array in arrays.items()
        if is_halved(array)
    }
    return halves | {name: array for name, array in arrays.items() if not is_halved(array)}


def widened(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays as kernels read them, by their own names."""
    return {
        name.removeprefix(MARK): array.astype(np.float32) if name.startswith(MARK) else array
        for name, array in arrays.items()
    }
