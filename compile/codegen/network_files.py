# SPDX-License-Identifier: Apache-2.0
"""The files of a compiled network: its library, and beside it the kernels' object and the graph.

Takes TVM's graph executor factory; gives files that an artifact is made of, in another process where it was
compiled there.
"""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mnc.compile.codegen import kernel_object
from mnc.compile.toolchain.graph import GRAPH, OBJECT
from mnc.compile.toolchain.linker import link_library
from mnc.targets import Target


def write(
    factory: Any, library: Path, target: Target, *, keys: Collection[str], cc: str | None = None
) -> None:
    """Write the three. `keys` are those of the network's tasks; `cc` as for `link_library`, whose UserErrors
    these are.
    """
    link_library(factory, library, target, cc=cc)
    kernel_object.write(factory, library.parent, keys=keys)


def move(source: Path, library: Path) -> None:
    """Make the files beside the library `source` those of the library at `library`."""
    shutil.move(source, library)
    for name in (OBJECT, GRAPH):
        shutil.move(source.with_name(name), library.with_name(name))
