# SPDX-License-Identifier: Apache-2.0
"""ExecuTorch with its XNNPACK delegate through its C++ interface, float32 in and out: for where there is no
PyTorch, which its interface for Python needs.

$EXECUTORCH_NETWORK is executorch_network.cpp, compiled.
"""

import ctypes
import os
from importlib.metadata import distribution, version
from pathlib import Path

import numpy as np
from network import Network

# In this order, each after what it needs; kernels and the delegate make themselves known.
LIBRARIES = "", "_threadpool", "_kernels_optimized", "_kernels_quantized", "_backend_xnnpack"


def load(folder: Path, threads: int) -> Network:
    """The .pte file on `threads` threads."""
    functions = _functions()
    network = functions.network_load(str(folder / "model.pte").encode(), threads)
    if not network:
        raise RuntimeError("ExecuTorch cannot load the model")
    count = ctypes.c_int64()

    def call(image: np.ndarray) -> np.ndarray:
        shape = (ctypes.c_int32 * 4)(*image.shape)
        given = functions.network_call(network, image.ctypes.data, shape, ctypes.byref(count))
        if not given:
            raise RuntimeError("ExecuTorch failed")
        return np.ctypeslib.as_array(given, (count.value,))

    return Network(version("executorch"), call, prepare=np.ascontiguousarray, finish=np.copy)


def _functions() -> ctypes.CDLL:
    libraries = Path(str(distribution("executorch").locate_file("executorch/lib")))
    for name in LIBRARIES:
        ctypes.CDLL(str(libraries / f"libexecutorch{name}.so"))
    functions = ctypes.CDLL(os.environ["EXECUTORCH_NETWORK"])
    functions.network_load.restype = ctypes.c_void_p
    functions.network_load.argtypes = [ctypes.c_char_p, ctypes.c_uint32]
    functions.network_call.restype = ctypes.POINTER(ctypes.c_float)
    functions.network_call.argtypes = [*[ctypes.c_void_p] * 3, ctypes.POINTER(ctypes.c_int64)]
    return functions
