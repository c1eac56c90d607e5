# SPDX-License-Identifier: Apache-2.0
"""What `mnc build` keeps for export: the kernels' object, and the graph that calls them.

Takes TVM's graph executor factory; gives `kernels.o` and `graph.json` in the artifact's folder.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from mnc.compile.codegen import alignment, thread_sharing

OBJECT, GRAPH = "kernels.o", "graph.json"
# TVM counts a kernel's allocations without what rounding each of them up costs.
ROUNDING = 16 * alignment.ALIGNMENT


def write(factory: Any, folder: Path) -> None:
    """Write both files. The graph gains the keys "scratch_bytes", see `scratch_bytes`, and "ways", see
    `sharing`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # LLVM ends the process when the disk it writes to is full; a copy that fails is an OSError.
        made = Path(scratch) / OBJECT
        factory.get_lib().save(str(made))
        shutil.copyfile(made, folder / OBJECT)
    graph = msgspec.json.decode(factory.get_graph_json())
    graph["scratch_bytes"] = scratch_bytes(factory)
    graph["ways"] = thread_sharing.ways(factory)
    (folder / GRAPH).write_bytes(msgspec.json.encode(graph))


def scratch_bytes(factory: Any) -> int:
    """Bytes one thread may ask of TVMBackendAllocWorkspace at once, over all kernels."""
    sizes = [
        int(size)
        for name, info in factory.function_metadata.items()
        if str(name) != "__tvm_main__"  # the whole network's plan, which we make ourselves
        for size in info.workspace_sizes.values()
    ]
    return alignment.align(max(sizes, default=0)) + ROUNDING
