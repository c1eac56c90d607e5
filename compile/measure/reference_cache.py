# SPDX-License-Identifier: Apache-2.0
"""Tasks' inputs and right outputs, as files that the checking processes read.

Takes a task and the processes that can work its reference out; gives the file, made at the first demand.
"""

from pathlib import Path

from mnc.compile.measure.messages import ReferenceJob, Stored, TaskSpec, explain
from mnc.compile.measure.worker_pool import WorkerPool

REFERENCE_SECONDS = 120.0


class ReferenceCache:
    """The references made so far, in `folder`, which its owner removes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, str] = {}

    def path(self, spec: TaskSpec, compilers: WorkerPool) -> str:
        """The task's file; RuntimeError when it cannot be worked out, which is no config's fault."""
        if spec.key not in self._paths:
            path = str(self._folder / f"reference-{len(self._paths)}.npz")
            job = ReferenceJob(task=spec, path=path)
            ((_, outcome),) = compilers.run([job], timeout=REFERENCE_SECONDS)
            if not isinstance(outcome, Stored):
                _, message = explain(outcome, "reference")
                raise RuntimeError(f"no reference for {spec.key}: {message}")
            self._paths[spec.key] = path
        return self._paths[spec.key]
