# SPDX-License-Identifier: Apache-2.0
"""An artifact on this machine, by the faster of its two libraries.

Takes an `Artifact`; gives a `Session`: of the freestanding library where the artifact has one, for TVM's
executor takes 2 % more and what Python does around it another 2 %; else in TVM's runtime.
"""

import logging

from mnc.compile.artifact.manifest import FREESTANDING
from mnc.compile.artifact.store import Artifact
from mnc.compile.export.source import MAX_THREADS
from mnc.compile.runtime.freestanding import Freestanding
from mnc.compile.runtime.session import (
    Array,
    Session,
    check_cpu,
    checked_threads,
    refuse_other_signature,
)
from mnc.support.errors import UserError

logger = logging.getLogger(__name__)


class FreestandingSession(Session):
    """A `Session` of an artifact's freestanding library: TVM takes no part in it. UserError as `Session`."""

    def __init__(self, artifact: Artifact, *, threads: int | None = None) -> None:
        self.artifact = artifact
        self.manifest, self.labels = artifact.manifest, artifact.labels
        check_cpu(self.manifest.target)
        self.threads = checked_threads(threads)
        name = self.manifest.network.name
        self.library = Freestanding(artifact.folder / FREESTANDING, threads=self.threads, name=name)
        said = (*self.manifest.inputs, *self.manifest.outputs)
        found = (*self.library.inputs, *self.library.outputs)
        if [port.shape for port in said] != [port.shape for port in found]:
            refuse_other_signature(artifact)
        self.library.inputs = self.manifest.inputs  # the same, and errors can say the layout

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """As Session."""
        return self.library.run(*inputs)


def open_local(artifact: Artifact, *, threads: int | None = None) -> Session:
    """A `Session` of `artifact` with `threads` threads, as `Session` takes them."""
    has_library = FREESTANDING in artifact.manifest.files
    if has_library and checked_threads(threads) <= MAX_THREADS:
        try:
            return FreestandingSession(artifact, threads=threads)
        except UserError as error:  # made by an mnc whose libraries have other functions
            logger.info("%s runs in TVM's runtime: %s", artifact.folder, error)
    return Session(artifact, threads=threads)
