# SPDX-License-Identifier: Apache-2.0
"""One device's share of the measuring: takes kernels from a queue, finds out why one failed.

A thread asks the tracker for any free device, so that one whose device has died goes on with another.
It waits for one with growing pauses; what it was at goes back to the queue.
"""

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from mnc.compile.measure.device_failure import (
    KernelWork,
    Verdict,
    answers,
    by_comparison,
    by_device,
    by_time,
    place,
    words_of,
)
from mnc.compile.measure.messages import (
    Connected,
    ConnectJob,
    Done,
    Failed,
    Outcome,
    StepJob,
    Timed,
    TimedOut,
)
from mnc.compile.measure.options import RpcOptions
from mnc.compile.measure.work_queue import WorkQueue
from mnc.compile.measure.worker_pool import WorkerPool
from mnc.compile.records.trial import Failure
from mnc.compile.rpc import tracker
from mnc.compile.rpc.address import Address

STEPS = ("load", "call", "check", "time")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds
TICK = 0.2  # seconds between looks at the queue


@dataclass(frozen=True)
class KernelResult:
    """What came of a configuration of a batch. More is to come of it unless `final`."""

    batch: int
    index: int
    costs: tuple[float, ...]
    error: Failure | None
    message: str
    seconds: float = 0.0
    final: bool = True


KernelQueue = WorkQueue[KernelWork, KernelResult]


@dataclass(frozen=True)
class Devices:
    """Those of an address's key, how to use them, and a folder for files."""

    address: Address
    options: RpcOptions
    scratch: Path
    emulated: bool


class DeviceThread(threading.Thread):
    """A thread with a process that talks to one device at a time. The thread lives as long as the process:
    Linux ends processes with the thread that started them.
    """

    def __init__(self, number: int, queue: KernelQueue, devices: Devices) -> None:
        super().__init__(name=f"device-{number}", daemon=True)
        self.number, self.queue, self.devices = number, queue, devices
        self.device: Connected | None = None
        self._since = 0.0
        self._pause = FIRST_PAUSE
        self._pool: WorkerPool | None = None

    def run(self) -> None:
        """Until the queue stops."""
        folder = self.devices.scratch / f"device-{self.number}"
        folder.mkdir()
        env = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TVM_USE_RUNTIME_LIB": "1"}
        try:
            with WorkerPool("device", 1, scratch=folder, env=env) as self._pool:
                while not self.queue.stop.is_set():
                    self._turn()
        except Exception as error:
            if not self.queue.stop.is_set():
                self.queue.problem = f"a measuring process failed: {error}"
        finally:
            self.queue.without_worker(self.number, "it has ended")

    def interrupt(self) -> None:
        """End what the process is at, so that the thread looks at the queue."""
        if self._pool is not None:
            for pid in self._pool.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _turn(self) -> None:
        if not self.queue.has_work(seconds=TICK):
            self._release_when_idle()
            return
        device = self._held() or self._acquire()
        if device is None:
            self.queue.stop.wait(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            return
        work = self.queue.take(seconds=TICK)
        if work is not None:
            self._since = time.monotonic()
            result = self._measure(device, work)
            if not result.final:
                self.queue.put_back(work)
            self.queue.give(result)

    def _held(self) -> Connected | None:
        """The device that we hold, if its session has enough of its time left."""
        age = time.monotonic() - self._connected_at if self.device is not None else 0.0
        if self.device is not None and age > self.devices.options.session_seconds / 2:
            self._drop()
        return self.device

    def _acquire(self) -> Connected | None:
        options, address = self.devices.options, self.devices.address
        job = ConnectJob(
            host=address.host,
            port=address.port,
            key=address.key,
            wait_seconds=options.wait_seconds,
            session_seconds=options.session_seconds,
            threads=options.threads,
            cores=options.cores,
        )
        outcome = self._do(job, options.wait_seconds + options.connect_seconds)
        if not isinstance(outcome, Connected):
            self.queue.without_worker(self.number, words_of(outcome))
            return None
        if bool(outcome.emulated) != self.devices.emulated:
            self.queue.problem = (
                f"some {address.key} are emulated, some are not; give them different keys"
            )
            return None
        self.device, self._connected_at, self._pause = outcome, time.monotonic(), FIRST_PAUSE
        self.queue.with_worker(self.number)
        return outcome

    def _measure(self, device: Connected, work: KernelWork) -> KernelResult:
        """All steps of one kernel, or why they ended early."""
        started = time.monotonic()
        costs: tuple[float, ...] = ()
        error: Failure | None = "run"
        message, final = "unexpected answer", True
        for step in STEPS:
            outcome = self._do(StepJob(step=step, run=work.run), self._allowed(step))  # type: ignore[arg-type]
            if isinstance(outcome, Done):
                continue
            if isinstance(outcome, Timed):
                costs, error, message = outcome.costs, None, ""
                break
            error, message, final = self._judge(device, work, step, outcome)
            break
        seconds = time.monotonic() - started
        return KernelResult(work.batch, work.index, costs, error, message, seconds, final)

    def _allowed(self, step: str) -> float:
        """Seconds for a step. The network's share is generous: slow is not broken."""
        if step in ("load", "check"):
            return self.devices.options.transfer_timeout
        trip = self.device.round_trip if self.device is not None else 0.0
        return self.devices.options.run_timeout + 20 * trip

    def _judge(self, device: Connected, work: KernelWork, step: str, outcome: Outcome) -> Verdict:
        """What failed."""
        if isinstance(outcome, Failed) and outcome.error != "device":
            self._drop()  # the kernel may have written where it should not
            return Verdict("wrong" if outcome.error == "wrong" else "run", outcome.message, True)
        probe = self.devices.options.probe_seconds
        if isinstance(outcome, TimedOut):
            self.device = None  # its process was killed, which closed the session
            alive = step in ("call", "time") and answers(device, probe)
            return by_time(work, device, outcome.seconds, alive=alive)
        self._drop()
        if answers(device, probe) and (after := self._acquire()):
            return by_comparison(work, step, device, after, words_of(outcome))
        gone = f"{place(device)} is gone: {words_of(outcome)}"
        return by_device(work, gone, suspect=step == "call")

    def _release_when_idle(self) -> None:
        if (
            self.device is not None
            and time.monotonic() - self._since > self.devices.options.idle_seconds
        ):
            self._drop()

    def _drop(self) -> None:
        """Give the device back: a new process makes sure of it."""
        self.device = None
        self._process.restart()

    def _do(self, job: ConnectJob | StepJob, timeout: float) -> Outcome:
        ((_, outcome),) = self._process.run([job], timeout=timeout)
        return outcome

    @property
    def _process(self) -> WorkerPool:
        if self._pool is None:
            raise RuntimeError("a device's process is started by the thread that uses it")
        return self._pool


def devices_known(address: Address) -> int:
    """How many devices the tracker has of the key, at least 1."""
    return max(1, tracker.summary(address.tracker).count(address.key))
