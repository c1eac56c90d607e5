# SPDX-License-Identifier: Apache-2.0
"""Measures on this machine: compiles a batch on every core, then times it on a quiet one.

Takes configurations of a task; gives Trials with times as the network would see them (caches as
another layer left them) after a check of every kernel's output. Kernels run in a process of their
own, which may crash or hang without harm.
"""

import platform
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnc.compile.measure.messages import (
    Compiled,
    CompileJob,
    Failed,
    Outcome,
    RunJob,
    TaskSpec,
    Timed,
    explain,
    spec_of,
)
from mnc.compile.measure.options import LocalOptions
from mnc.compile.measure.reference_cache import ReferenceCache
from mnc.compile.measure.scratch import scratch_folder
from mnc.compile.measure.worker_pool import WorkerPool
from mnc.compile.records.trial import Trial, trial_of
from mnc.support.closing import Closing
from mnc.support.errors import UserError
from mnc.targets import Target, topology
from mnc.targets.core_classes import timing_cpus
from mnc.targets.target import ARCHITECTURES

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask

VERSION = "local-v1"


class LocalMeasurer(Closing):
    """`mnc.compile.measure.measurer.Measurer` on the machine's own cores. Use as a context manager.

    Make and use it in one thread: Linux ends the processes when the thread that started them ends.
    Raises UserError when the target is another machine or has fewer cores than threads are asked for.
    """

    def __init__(self, target: Target, *, options: LocalOptions | None = None) -> None:
        self.options = options or LocalOptions()
        self._target = target
        _check(target, self.options.threads)
        self._scratch = scratch_folder()
        self._references = ReferenceCache(self._scratch)
        self._best: dict[str, float] = {}
        self._count = 0
        threads = self.options.threads
        try:
            self._compilers = self._pool("compile", topology.processes(self.batch), threads=1)
            self._runner = self._pool("run", 1, threads=threads, cpus=timing_cpus(threads))
        except BaseException:
            self.close()
            raise

    @property
    def batch(self) -> int:
        """Configurations at once: enough to keep every compiling process busy."""
        return 16

    def describe(self) -> str:
        """Logged with each trial."""
        return f"{VERSION} cpu={self._target.model} threads={self.options.threads}"

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes now alive."""
        return self._compilers.pids + self._runner.pids

    def close(self) -> None:
        """End the processes and remove their files."""
        for pool in (getattr(self, "_compilers", None), getattr(self, "_runner", None)):
            if pool is not None:
                pool.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def measure(self, task: "TunableTask", configs: Sequence[Any]) -> Iterator[Trial]:
        """Yield a Trial a configuration: failures to compile first, then the timings one by one."""
        spec = spec_of(task, templates=self.options.templates)
        reference = self._references.path(spec, self._compilers) if self.options.verify else None
        started = time.monotonic()
        libraries = [str(self._scratch / f"{self._count + i}.so") for i in range(len(configs))]
        self._count += len(configs)
        jobs = [
            CompileJob(task=spec, config=config.to_json_dict(), library=library)
            for config, library in zip(configs, libraries, strict=True)
        ]
        compiled: dict[int, Compiled] = {}
        for i, outcome in self._compilers.run(jobs, timeout=self.options.compile_timeout):
            if isinstance(outcome, Compiled):
                compiled[i] = outcome
            else:
                yield self._trial(task, configs[i], outcome, stage="compiler")
        share = (time.monotonic() - started) / max(1, len(configs))
        for i, kernel in sorted(compiled.items()):
            started = time.monotonic()
            outcome = self._run(spec, libraries[i], kernel, reference)
            seconds = share + time.monotonic() - started
            Path(libraries[i]).unlink(missing_ok=True)
            yield self._trial(task, configs[i], outcome, stage="kernel", seconds=seconds)

    def _run(
        self, spec: TaskSpec, library: str, kernel: Compiled, reference: str | None
    ) -> Outcome:
        job = RunJob(
            library=library,
            arguments=kernel.arguments,
            reference=reference,
            best=self._best.get(spec.key),
            evict_bytes=self.options.evict_bytes or self._target.evict_bytes,
            budget=self.options.budget,
        )
        ((_, outcome),) = self._runner.run([job], timeout=self.options.run_timeout)
        if isinstance(outcome, Timed):
            cost = statistics.median_high(outcome.costs)
            self._best[spec.key] = min(cost, self._best.get(spec.key, cost))
        if isinstance(outcome, Failed):
            # It may have written where it should not: the next kernel gets a clean process.
            self._runner.restart()
        return outcome

    def _trial(
        self,
        task: "TunableTask",
        config: Any,
        outcome: Outcome,
        *,
        stage: str,
        seconds: float = 0.0,
    ) -> Trial:
        timed = isinstance(outcome, Timed)
        error, message = (None, "") if timed else explain(outcome, stage)
        return trial_of(
            task.task,
            config,
            costs=outcome.costs if isinstance(outcome, Timed) else (),
            error=error,
            message=message,
            measurer=self.describe(),
            threads=self.options.threads,
            verified=timed and self.options.verify,
            seconds=seconds,
        )

    def _pool(
        self, role: str, count: int, *, threads: int, cpus: frozenset[int] | None = None
    ) -> WorkerPool:
        env = {"TVM_NUM_THREADS": str(threads), "OMP_NUM_THREADS": "1"}
        # Without the compiler the runner starts in a blink. Empty is unset for TVM.
        env["TVM_USE_RUNTIME_LIB"] = "1" if role == "run" else ""
        return WorkerPool(role, count, scratch=self._scratch, env=env, cpus=cpus)


def _check(target: Target, threads: int) -> None:
    here = platform.machine()
    if target.arch != ARCHITECTURES.get(here, here):
        raise UserError(
            f"{target.name} is {target.arch} and this machine {here}: its kernels cannot be timed here; "
            "name a device to measure on"
        )
    cores = len(topology.usable_cpus())
    if not 1 <= threads <= cores:
        raise UserError(
            f"{threads} threads do not fit this machine's {cores} cores; give 1 to {cores}"
        )
