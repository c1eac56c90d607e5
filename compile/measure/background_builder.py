# SPDX-License-Identifier: Apache-2.0
"""Compiles a batch of configurations in the background, so that devices never wait for the last of them.

Takes batches of jobs; puts kernels into the devices' queue and failures among the results, as each is known.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from mnc.compile.measure.device_failure import KernelWork
from mnc.compile.measure.device_thread import Devices, KernelQueue, KernelResult
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

    def __init__(
        self, queue: KernelQueue, devices: Devices, *, prepare: Prepare, processes: int
    ) -> None:
        super().__init__(name="builder", daemon=True)
        self.queue, self.devices, self._prepare = queue, devices, prepare
        self._processes = processes
        self._batches: SimpleQueue[tuple[int, Sequence[CompileJob]]] = SimpleQueue()
        self._references = ReferenceCache(devices.scratch)
        self._pool: WorkerPool | None = None

    def put(self, batch: int, jobs: Sequence[CompileJob]) -> None:
        """Compile `jobs` next."""
        self._batches.put((batch, jobs))

    def run(self) -> None:
        """Until the queue stops."""
        env = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TVM_USE_RUNTIME_LIB": ""}
        try:
            with WorkerPool(
                "compile", self._processes, scratch=self.devices.scratch, env=env
            ) as self._pool:
                while not self.queue.stop.is_set():
                    with contextlib.suppress(Empty):
                        self._batch(self._pool, *self._batches.get(timeout=0.2))
        except Exception as error:
            if not self.queue.stop.is_set():
                self.queue.problem = f"a compiling process failed: {error}"

    def interrupt(self) -> None:
        """End what the processes are at, so that the thread looks at the queue."""
        for pid in self._pool.pids if self._pool is not None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _batch(self, pool: WorkerPool, batch: int, jobs: Sequence[CompileJob]) -> None:
        verify = self.devices.options.verify
        reference = self._references.path(jobs[0].task, pool) if verify else None
        for index, outcome in pool.run(jobs, timeout=self.devices.options.compile_timeout):
            if self.queue.stop.is_set() or batch != self.queue.batch:
                return
            if isinstance(outcome, Compiled):
                run = self._prepare(jobs[index], outcome, reference)
                self.queue.add([KernelWork(batch, index, run)])
            else:
                error, message = explain(outcome, "compiler")
                self.queue.give(KernelResult(batch, index, (), error, message))
