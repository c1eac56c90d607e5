# SPDX-License-Identifier: Apache-2.0
"""Measures on devices over TVM's RPC, on all of one key at once, and outlives what befalls them.

Takes configurations of a task; gives Trials as LocalMeasurer does, and one with the error "device" for
each time a device failed: its configuration is tried again, on another device if there is one.
"""

import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnc.compile.measure.background_builder import BackgroundBuilder
from mnc.compile.measure.device_thread import (
    Devices,
    DeviceThread,
    KernelQueue,
    KernelResult,
    devices_known,
)
from mnc.compile.measure.messages import Compiled, CompileJob, RunJob, TaskSpec, spec_of
from mnc.compile.measure.options import RpcOptions
from mnc.compile.measure.scratch import scratch_folder
from mnc.compile.records.trial import EMULATED, Trial, trial_of
from mnc.compile.rpc import connection
from mnc.compile.rpc.address import Address
from mnc.support.closing import Closing
from mnc.support.errors import UserError
from mnc.targets import Target, topology

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask

VERSION = "rpc-v1"
SMALLEST_BATCH, PER_DEVICE = 16, 4


class RpcMeasurer(Closing):
    """`mnc.compile.measure.measurer.Measurer` on the devices of `address.key`. Use as a context manager.

    UserError when there is no such device, or when it is emulated and that was not allowed.
    """

    def __init__(
        self, target: Target, address: Address, *, options: RpcOptions | None = None
    ) -> None:
        self.options = options or RpcOptions()
        self._target, self._address = target, address
        self._emulated = _checked(address, target, self.options)
        self._queue = KernelQueue()
        self._devices = Devices(address, self.options, scratch_folder(), self._emulated)
        self._best: dict[str, float] = {}
        self._count = 0
        self._threads: list[DeviceThread] = []
        self._builder = BackgroundBuilder(
            self._queue,
            self._devices,
            prepare=self._run_job,
            processes=topology.processes(SMALLEST_BATCH),
        )
        self._builder.start()
        self._add_threads()

    @property
    def batch(self) -> int:
        """Configurations at once: enough to keep every device busy."""
        return max(SMALLEST_BATCH, PER_DEVICE * len(self._threads))

    def describe(self) -> str:
        """Logged with each trial."""
        mark = f" {EMULATED}" if self._emulated else ""
        return f"{VERSION} cpu={self._target.model} threads={self.options.threads}{mark}"

    def close(self) -> None:
        """End the processes and remove their files; the devices are free then."""
        self._queue.halt()
        threads: list[DeviceThread | BackgroundBuilder] = [*self._threads, self._builder]
        for thread in threads:
            thread.interrupt()
        for thread in threads:
            thread.join(10.0)
        shutil.rmtree(self._devices.scratch, ignore_errors=True)

    def measure(self, task: "TunableTask", configs: Sequence[Any]) -> Iterator[Trial]:
        """Yield Trials, each as soon as it is known: one a configuration, and one a failure of a device."""
        self._add_threads()
        batch = self._queue.new_batch()
        spec = spec_of(task, templates=self.options.templates)
        libraries = [
            str(self._devices.scratch / f"{self._count + i}.so") for i in range(len(configs))
        ]
        self._count += len(configs)
        jobs = [
            CompileJob(task=spec, config=config.to_json_dict(), library=library)
            for config, library in zip(configs, libraries, strict=True)
        ]
        outstanding = len(jobs)
        try:
            if jobs:
                self._builder.put(batch, jobs)
            while outstanding:
                for result in self._results():
                    if result.final:
                        outstanding -= 1
                        Path(libraries[result.index]).unlink(missing_ok=True)
                    self._learn(spec, result)
                    yield self._trial(task, configs[result.index], result)
        finally:
            self._queue.new_batch()  # one given up half-way is nobody's any more

    def _run_job(self, job: CompileJob, kernel: Compiled, reference: str | None) -> RunJob:
        return RunJob(
            library=job.library,
            arguments=kernel.arguments,
            reference=reference,
            best=self._best.get(job.task.key),
            evict_bytes=self.options.evict_bytes or self._target.evict_bytes,
            budget=self.options.budget,
        )

    def _learn(self, spec: TaskSpec, result: KernelResult) -> None:
        if result.costs:
            cost = statistics.median_high(result.costs)
            self._best[spec.key] = min(cost, self._best.get(spec.key, cost))

    def _results(self) -> list[KernelResult]:
        """What has come of this batch; UserError when no device is left to wait for."""
        end = time.monotonic() + self.options.device_wait
        while True:
            found = self._queue.results(seconds=1.0)
            if self._queue.problem:
                raise UserError(self._queue.problem)
            if found:
                return found
            reason = self._queue.why_idle(len(self._threads))
            if not reason:
                end = time.monotonic() + self.options.device_wait
            elif time.monotonic() > end:
                raise UserError(
                    f"no {self._address.key} for {self.options.device_wait:g} s ({reason}); the log keeps "
                    "what was measured: start the same command again when the device is back"
                )

    def _trial(self, task: "TunableTask", config: Any, result: KernelResult) -> Trial:
        return trial_of(
            task.task,
            config,
            costs=result.costs,
            error=result.error,
            message=result.message,
            measurer=self.describe(),
            threads=self.options.threads,
            verified=result.error is None and self.options.verify,
            seconds=result.seconds,
        )

    def _add_threads(self) -> None:
        """One a device that the tracker knows now; devices that come later are used from the next batch."""
        try:
            known = devices_known(self._address)
        except UserError:
            known = 1  # the tracker is away; threads wait for it
        while len(self._threads) < known:
            thread = DeviceThread(len(self._threads), self._queue, self._devices)
            self._threads.append(thread)
            thread.start()


def _checked(address: Address, target: Target, options: RpcOptions) -> bool:
    """Whether the devices are emulated; UserError when they are no use for measuring `target`."""
    with connection.connect(address) as device:
        report = device.report
        device.use_threads(options.threads, cores=options.cores)
    if report is None:
        return False
    if connection.architecture(report) != target.arch:
        raise UserError(
            f"{device} is {report.arch} and {target.name} is {target.arch}; choose another device or target"
        )
    if report.emulated and not options.allow_emulated:
        raise UserError(
            f"{device} is emulated ({report.emulated}): its times say nothing about a real core. Tune on a "
            "real device; to test the pipeline, --allow-emulated times it "
            "all the same, and no build will use such records"
        )
    return bool(report.emulated)
