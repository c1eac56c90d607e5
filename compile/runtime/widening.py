# SPDX-License-Identifier: Apache-2.0
"""Weights that an artifact's library holds in half precision, as its kernels read them.

Takes TVM's executor of the library, and the artifact; fills the executor's weights, once.
"""

from collections.abc import Callable
from typing import Any

from mnc.compile.artifact.store import Artifact
from mnc.compile.export import weights
from mnc.compile.toolchain import stored_weights


def tvm_array(array: Any) -> Any:
    """TVM's array of numpy's, on this machine."""
    import tvm

    return tvm.nd.array(array)


def widen(graph: Any, artifact: Artifact, to_device: Callable[[Any], Any]) -> None:
    """Give the executor what it lacks; nothing where the library holds weights in float32. `to_device` makes
    TVM's array of numpy's.
    """
    if artifact.manifest.weight_storage == "float32":
        return
    for name, array in weights.read(artifact.library).items():
        if stored_weights.is_halved(array):
            graph["set_input"](name, to_device(array))
