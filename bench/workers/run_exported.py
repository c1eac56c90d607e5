# SPDX-License-Identifier: Apache-2.0
"""mnc: the C library of `mnc export` for the target, weights inside, called through ctypes; float32 in and
out.
"""

import ctypes
from pathlib import Path

import numpy as np
from network import Network


def load(folder: Path, threads: int) -> Network:
    """The library on `threads` threads."""
    library = ctypes.CDLL(str(folder / "exported" / "libmnc.so"))
    library.mnc_create.restype = ctypes.c_void_p
    library.mnc_run.argtypes = [ctypes.c_void_p] * 3
    instance = library.mnc_create(threads)
    if not instance:
        raise RuntimeError("the exported library gives no instance")
    output = np.empty_like(np.load(folder / "expected.npy")[0])

    def call(image: np.ndarray) -> np.ndarray:
        if library.mnc_run(instance, image.ctypes.data, output.ctypes.data):
            raise RuntimeError("the exported library failed")
        return output

    return Network("", call, prepare=_aligned)


def _aligned(image: np.ndarray) -> np.ndarray:
    """On a boundary of 64 bytes, so that the library reads it where it is."""
    room = np.empty(image.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    placed = room[start : start + image.nbytes].view(image.dtype).reshape(image.shape)
    placed[:] = image
    return placed
