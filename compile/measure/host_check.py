# SPDX-License-Identifier: Apache-2.0
"""Checks a configuration's arithmetic where no core of its own target is at hand: on this machine.

Takes a task and a configuration; gives None when the kernel, compiled here from the same schedule and run
once, gives the right output, else what was wrong. Schedule and tensor code are the same for both; only LLVM's
back end differs.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mnc.compile.measure.messages import (
    Compiled,
    CompileJob,
    RunJob,
    TaskSpec,
    Timed,
    explain,
)
from mnc.compile.measure.reference_cache import ReferenceCache
from mnc.compile.measure.scratch import scratch_folder
from mnc.compile.measure.worker_pool import WorkerPool
from mnc.compile.records.trial import Failure
from mnc.targets import load

COMPILE_SECONDS, RUN_SECONDS = 60.0, 30.0
SOME = 64  # bytes to stream: nothing is timed


class HostCheck:
    """A compiling and a running process, started at the first check. Call `close` at the end.

    Make and use it in one thread: Linux ends the processes when the thread that started them ends.
    """

    def __init__(self) -> None:
        self._target = load("host").tvm_target()
        self._scratch = scratch_folder()
        self._pools: dict[str, WorkerPool] = {}
        self._references = ReferenceCache(self._scratch)

    def close(self) -> None:
        """End the processes and remove their files; safe to call twice."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def wrong(self, spec: TaskSpec, config: Mapping[str, Any]) -> tuple[Failure, str] | None:
        """None when the output is right; else the kind of failure and one line about it."""
        here = msgspec.structs.replace(spec, target=self._target)
        reference = self._references.path(here, self._pool("compile"))
        library = str(self._scratch / "kernel.so")
        job = CompileJob(task=here, config=dict(config), library=library)
        ((_, made),) = self._pool("compile").run([job], timeout=COMPILE_SECONDS)
        if not isinstance(made, Compiled):
            return explain(made, "compiler")
        run = RunJob(
            library=library,
            arguments=made.arguments,
            reference=reference,
            best=None,
            evict_bytes=SOME,
            budget=0.0,
        )
        ((_, outcome),) = self._pool("run").run([run], timeout=RUN_SECONDS)
        Path(library).unlink(
            missing_ok=True
        )  # the loader would take a file written over for the old one
        if isinstance(outcome, Timed):
            return None
        self._pool("run").restart()  # it may have written where it should not
        return explain(outcome, "kernel")

    def _pool(self, role: str) -> WorkerPool:
        if role not in self._pools:
            env = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            env["TVM_USE_RUNTIME_LIB"] = "1" if role == "run" else ""
            self._pools[role] = WorkerPool(role, 1, scratch=self._scratch, env=env)
        return self._pools[role]
