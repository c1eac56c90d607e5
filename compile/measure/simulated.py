# SPDX-License-Identifier: Apache-2.0
"""Measures on a core that is not there: every candidate's real machine code is priced by a model of the core.

Takes configurations of a task; gives Trials as LocalMeasurer does, their costs by `mnc.compile.simulator`. A
candidate that would be its task's best is first compiled for this machine and its output checked: only such a
trial is `verified`.
"""

import math
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mnc.compile.measure.host_check import HostCheck
from mnc.compile.measure.messages import (
    Job,
    Outcome,
    Priced,
    SimulateJob,
    TaskSpec,
    explain,
    spec_of,
)
from mnc.compile.measure.options import SimulationOptions
from mnc.compile.measure.scratch import scratch_folder
from mnc.compile.measure.worker_pool import WorkerPool
from mnc.compile.records.trial import SIMULATED, Failure, Trial, trial_of
from mnc.compile.simulator.identity import identity, why_not
from mnc.model.names import Precision
from mnc.support.closing import Closing
from mnc.support.errors import UserError
from mnc.targets import Target, topology

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask

PER_WORKER, SMALLEST_BATCH = 4, 16


class Engine(Protocol):
    """Whatever does jobs: processes here, or a fleet."""

    @property
    def workers(self) -> int:
        """Jobs at once."""
        ...

    def run(self, jobs: Sequence[Job], *, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """Yield (position of the job, outcome) in the order they end; `timeout` is seconds a job."""
        ...

    def close(self) -> None:
        """Free what it holds; safe to call twice."""
        ...


class Processes:
    """Simulating processes on this machine."""

    def __init__(self, count: int | None) -> None:
        self.workers = count or topology.processes()
        self._scratch = scratch_folder()
        env = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TVM_USE_RUNTIME_LIB": ""}
        env["MNC_SCRATCH"] = str(self._scratch)
        self._pool = WorkerPool("simulate", self.workers, scratch=self._scratch, env=env)

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes now alive."""
        return self._pool.pids

    def run(self, jobs: Sequence[Job], *, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """As `WorkerPool.run`."""
        return self._pool.run(jobs, timeout=timeout)

    def close(self) -> None:
        """End the processes and remove their files."""
        self._pool.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


class SimulatedMeasurer(Closing):
    """`mnc.compile.measure.measurer.Measurer` by a core model. Use as a context manager, in one thread.

    `engine` does the jobs (None: processes here). UserError when the target cannot be simulated.
    """

    def __init__(
        self,
        target: Target,
        *,
        options: SimulationOptions | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.options = options or SimulationOptions()
        self.threads = self.options.threads or target.fast.count
        check_simulable(target, threads=self.threads)
        self._target = target
        # Once, in this thread: Python's parser fails when several threads use it.
        self._name = describe(target, threads=self.threads, precision=self.options.precision)
        self._right: dict[str, float] = {}  # the least cost of a task's kernels found right
        self._check = HostCheck()
        self.engine: Engine = engine or Processes(self.options.workers)

    @property
    def batch(self) -> int:
        """Configurations at once: enough to keep every worker busy."""
        return max(SMALLEST_BATCH, PER_WORKER * self.engine.workers)

    def describe(self) -> str:
        """Logged with each trial. A changed model or target description is another measurer."""
        return self._name

    def close(self) -> None:
        """End the processes and remove their files."""
        self.engine.close()
        self._check.close()

    def measure(self, task: "TunableTask", configs: Sequence[Any]) -> Iterator[Trial]:
        """Yield a Trial a configuration; those that beat all before come last, the best of them checked."""
        spec = spec_of(task, templates=self.options.templates)
        jobs = [
            SimulateJob(
                task=spec,
                config=config.to_json_dict(),
                device=self._target,
                threads=self.threads,
            )
            for config in configs
        ]
        leaders: list[tuple[Priced, Any]] = []
        for i, outcome in self.engine.run(jobs, timeout=self.options.timeout):
            if not isinstance(outcome, Priced):
                error, message = explain(outcome, "simulation")
                yield self._trial(task, configs[i], None, error=error, message=message)
            elif self.options.verify and outcome.cost < self._right.get(spec.key, math.inf):
                leaders.append((outcome, configs[i]))
            else:
                yield self._trial(task, configs[i], outcome)
        yield from self._checked(task, spec, leaders)

    def _checked(
        self, task: "TunableTask", spec: TaskSpec, leaders: list[tuple[Priced, Any]]
    ) -> Iterator[Trial]:
        """Cheapest first, until one is right: the others need no check, for no build will use them."""
        leaders.sort(key=lambda leader: leader[0].cost)
        found = False
        for priced, config in leaders:
            wrong = None if found else self._check.wrong(spec, config.to_json_dict())
            if wrong is not None:
                yield self._trial(task, config, None, error=wrong[0], message=wrong[1])
                continue
            if not found:
                self._right[spec.key] = priced.cost
            yield self._trial(task, config, priced, verified=not found)
            found = True

    def _trial(
        self,
        task: "TunableTask",
        config: Any,
        priced: Priced | None,
        *,
        error: Failure | None = None,
        message: str = "",
        verified: bool = False,
    ) -> Trial:
        return trial_of(
            task.task,
            config,
            costs=() if priced is None else (priced.cost,),
            error=error,
            message=message,
            measurer=self.describe(),
            threads=self.threads,
            verified=verified,
            seconds=0.0 if priced is None else priced.seconds,
        )


def describe(target: Target, *, threads: int, precision: Precision = "float32") -> str:
    """The measurer's name: simulator and core model by version and hash, and the threads."""
    return f"{SIMULATED} {identity(target, precision=precision)} cold threads={threads}"


def check_simulable(target: Target, *, threads: int = 1) -> None:
    """UserError, saying why, when `target` cannot be simulated."""
    if not 1 <= threads <= target.fast.count:
        raise UserError(
            f"{threads} threads do not fit the {target.fast.count} {target.fast.cpu} cores of {target.name}; "
            f"give 1 to {target.fast.count}"
        )
    if (reason := why_not(target)) is not None:
        raise UserError(
            f"{target.name} cannot be simulated: {reason}; attach a device with --device rpc://HOST:PORT/KEY "
            "(docs/devices.md says how)"
        )
