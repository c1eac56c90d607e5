# SPDX-License-Identifier: Apache-2.0
"""What `mnc build` keeps beside the library: the kernels' object, and the graph that calls them.

Takes TVM's graph executor factory; gives `kernels.o` and `graph.json` in the artifact's folder, the graph
with what is known of each kernel only while it is compiled (`toolchain.graph` reads it).
"""

import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from mnc.compile.codegen import alignment, kernel_storing, kernel_tasks, thread_sharing
from mnc.compile.toolchain.graph import GRAPH, OBJECT

# TVM counts a kernel's allocations without what rounding each of them up costs.
ROUNDING = 16 * alignment.ALIGNMENT


def write(factory: Any, folder: Path, *, keys: Collection[str]) -> None:
    """Write both files. `keys` are those of the network's tasks. The graph gains "scratch_bytes", "ways",
    "tasks" and "storing": see `scratch_bytes`, `thread_sharing`, `kernel_tasks` and `kernel_storing`.
    """
    _write_object(factory, folder / OBJECT)
    kernels = {
        str(name): info
        for name, info in factory.function_metadata.items()
        if str(name) != "__tvm_main__"  # the whole network, whose memory we plan ourselves
    }
    graph = msgspec.json.decode(factory.get_graph_json())
    graph["scratch_bytes"] = scratch_bytes(kernels)
    graph["ways"] = thread_sharing.ways(kernels)
    graph["tasks"] = kernel_tasks.tasks(kernels, keys)
    graph["storing"] = kernel_storing.storing(kernels)
    (folder / GRAPH).write_bytes(msgspec.json.encode(graph))


def scratch_bytes(kernels: Mapping[str, Any]) -> int:
    """Bytes one thread may ask of TVMBackendAllocWorkspace at once, over all kernels."""
    sizes = [int(size) for info in kernels.values() for size in info.workspace_sizes.values()]
    return alignment.align(max(sizes, default=0)) + ROUNDING


def _write_object(factory: Any, path: Path) -> None:
    """LLVM ends the process when the disk it writes to is full; a copy that fails is an OSError."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / path.name
        factory.get_lib().save(str(made))
        shutil.copyfile(made, path)
