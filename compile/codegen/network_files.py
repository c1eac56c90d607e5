# SPDX-License-Identifier: Apache-2.0
"""The files of a compiled network: its library, and beside it the kernels' object and the graph.

Takes TVM's graph executor factory; gives files that an artifact is made of, in another process where it was
compiled there.
"""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import tvm
from tvm.relay.backend.executor_factory import GraphExecutorFactoryModule

from mnc.compile.codegen import kernel_object
from mnc.compile.toolchain import stored_weights
from mnc.compile.toolchain.graph import GRAPH, OBJECT
from mnc.compile.toolchain.linker import link_library
from mnc.compile.toolchain.stored_weights import WeightStorage
from mnc.targets import Target


def write(
    factory: Any,
    library: Path,
    target: Target,
    *,
    keys: Collection[str],
    cc: str | None = None,
    weight_storage: WeightStorage = "float32",
) -> None:
    """Write the three. `keys` are those of the network's tasks; `cc` as for `link_library`, whose UserErrors
    these are. `weight_storage` is how the library has the weights.
    """
    stored = factory if weight_storage == "float32" else _halved(factory)
    link_library(stored, library, target, cc=cc)
    kernel_object.write(factory, library.parent, keys=keys)


def _halved(factory: Any) -> Any:
    """The executor factory with its large weights in half precision, which `runtime.widening` takes back."""
    arrays = {name: array.numpy() for name, array in factory.get_params().items()}
    return GraphExecutorFactoryModule(
        factory.ir_mod,
        factory.target,
        factory.executor,
        factory.get_graph_json(),
        factory.get_lib(),
        factory.libmod_name,
        {name: tvm.nd.array(array) for name, array in stored_weights.marked(arrays).items()},
        factory.function_metadata,
    )


def move(source: Path, library: Path) -> None:
    """Make the files beside the library `source` those of the library at `library`."""
    shutil.move(source, library)
    for name in (OBJECT, GRAPH):
        shutil.move(source.with_name(name), library.with_name(name))
