# SPDX-License-Identifier: Apache-2.0
"""The program of an artifact for another CPU, run on this machine: as slow as it may be, as right as it is.

Takes what a build made and its `Artifact`; gives a `Session`. Relay, layout and fusions are the artifact's
own, so that whatever the importer got wrong shows; only the kernels are this CPU's, with default configs.
"""

from typing import Any

from mnc.compile.artifact.store import Artifact
from mnc.compile.codegen import network as codegen
from mnc.compile.codegen.network import Built
from mnc.compile.runtime.session import Session, size_pool
from mnc.targets import load, topology


class StandIn(Session):
    """A `Session` that runs here, by what `compiled_here` gave, what the artifact runs on its device."""

    def __init__(self, artifact: Artifact, factory: Any) -> None:
        self.threads = topology.usable_cores()
        size_pool()
        self._open(artifact, factory)


def compiled_here(built: Built, *, family: str) -> Any:
    """The program for this machine. UserError where its CPU is not known; TVM raises whatever it likes."""
    return codegen.with_default_kernels(built.program, load("host"), family=family)
