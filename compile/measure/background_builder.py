# SPDX-License-Identifier: Apache-2.0
"""Compiles a batch of configurations in the background, so that devices never wait for the last of them.

Takes batches of jobs; puts kernels into the lanes' queue and failures among the results, as each is known.
"""

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence

from mnc.compile.measure.device_thread import DeviceQueue, Result, Work
from mnc.compile.measure.messages import (
    Compiled,
    CompileJob,
    RunJob,
    explain,
)
from mnc.compile.measure.reference_cache import ReferenceCache
from mnc.compile.measure.worker_pool import WorkerPool

Prepare = Callable[[CompileJob, Compiled, str | None], RunJob]


class BackgroundBuilder(threading.Thread):
    """A thread with compiling processes. It lives as long as they do: Linux ends processes with the thread
    that started them.
    """

    def __init__(self, hub: DeviceQueue, *, prepare: Prepare) -> None:
        super().__init__(name="kiln", daemon=True)
        self.hub, self._prepare = hub, prepare
        self._batches: queue.SimpleQueue[tuple[int, Sequence[CompileJob]]] = queue.SimpleQueue()
        self._references = ReferenceCache(hub.scratch)
        self._pool: WorkerPool | None = None

    def put(self, batch: int, jobs: Sequence[CompileJob]) -> None:
        """Compile `jobs` next."""
        self._batches.put((batch, jobs))

    def run(self) -> None:
        """Until the hub stops."""
        cpus = len(os.sched_getaffinity(0))
        env = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TVM_USE_RUNTIME_LIB": ""}
        try:
            with WorkerPool("compile", cpus, scratch=self.hub.scratch, env=env) as self._pool:
                while not self.hub.stop.is_set():
                    with contextlib.suppress(queue.Empty):
                        self._batch(self._pool, *self._batches.get(timeout=0.2))
        except Exception as error:
            if not self.hub.stop.is_set():
                self.hub.problem = f"a compiling process failed: {error}"

    def interrupt(self) -> None:
        """End what the processes are at, so that the thread looks at `hub.stop`."""
        for pid in self._pool.pids if self._pool is not None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _batch(self, pool: WorkerPool, batch: int, jobs: Sequence[CompileJob]) -> None:
        verify = self.hub.options.verify
        reference = self._references.path(jobs[0].task, pool) if verify else None
        for index, outcome in pool.run(jobs, timeout=self.hub.options.compile_timeout):
            if self.hub.stop.is_set() or batch != self.hub.batch:
                return
            if isinstance(outcome, Compiled):
                self.hub.add(Work(batch, index, self._prepare(jobs[index], outcome, reference)))
            else:
                error, message = explain(outcome, "compiler")
                self.hub.give(Result(batch, index, (), error, message))
