# SPDX-License-Identifier: Apache-2.0
"""triton beside TVM: each keeps the LLVM it was linked with, whichever is loaded first.

TVM's library offers its LLVM to everything that is loaded later; triton's would bind to that one, register
its options there once more and end the process. PyPI's own torch brings triton, and torch.export,
torch.compile and the user's own code load it.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType

LIBRARY = "triton._C.libtriton"


class _DeepBound(importlib.machinery.ExtensionFileLoader):
    """Loads an extension module that prefers its own symbols to those loaded before it."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        flags = sys.getdlopenflags()
        sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
        try:
            return super().create_module(spec)
        finally:
            sys.setdlopenflags(flags)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds triton's library where Python does."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != LIBRARY:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _DeepBound(name, spec.origin)
        return spec


def keep_its_symbols() -> None:
    """For whatever imports triton from now on. Only glibc can bind symbols so."""
    if hasattr(os, "RTLD_DEEPBIND"):
        sys.meta_path.insert(0, _Finder())
