# SPDX-License-Identifier: Apache-2.0
"""One device's share of the measuring: takes kernels from a queue, finds out why one failed.

A lane asks the tracker for any free device, so that a lane whose device has died goes on with another.
It waits for one with growing pauses; what it was at goes back to the queue.
"""

import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from mnc.compile.measure.messages import (
    Connected,
    ConnectJob,
    Died,
    Done,
    Failed,
    Outcome,
    RunJob,
    StepJob,
    Timed,
    TimedOut,
)
from mnc.compile.measure.options import RpcOptions
from mnc.compile.measure.worker_pool import WorkerPool
from mnc.compile.records.trial import Failure
from mnc.compile.rpc import tracker
from mnc.compile.rpc.address import Address
from mnc.support import error_text

STEPS = ("load", "call", "check", "time")
ATTEMPTS = 4  # on devices that fail, before a config is given up for now
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds
TICK = 0.2  # seconds between looks at the queue
# Signals by which a process dies of its own doing; any other was sent by someone else.
OWN_DEATHS = frozenset(-s for s in (signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGFPE,
                                    signal.SIGABRT, signal.SIGTRAP))  # fmt: skip
RPC_MAGIC, MISMATCH = 0xFF271, 0xFF273  # of TVM's RPC servers


@dataclass
class Work:
    """A compiled kernel to measure; `attempts` on devices that failed, `doubts` where it may be to blame."""

    batch: int
    index: int
    run: RunJob
    attempts: int = 0
    timeouts: int = 0
    doubts: int = 0


@dataclass(frozen=True)
class Result:
    """What came of a configuration of a batch. More is to come of it unless `final`."""

    batch: int
    index: int
    costs: tuple[float, ...]
    error: Failure | None
    message: str
    seconds: float = 0.0
    final: bool = True


@dataclass
class DeviceQueue:
    """What lanes and the measurer share."""

    address: Address
    options: RpcOptions
    scratch: Path
    emulated: bool = False
    work: deque[Work] = field(default_factory=deque)
    results: deque[Result] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: dict[int, str] = field(default_factory=dict)  # lanes without a device, and why
    stop: threading.Event = field(default_factory=threading.Event)
    batch: int = 0  # the one that is wanted
    problem: str = ""  # that ends the measuring

    def take(self) -> Work | None:
        """The next piece of work, if there is one in a while."""
        with self.changed:
            if not self.work:
                self.changed.wait(TICK)
            return self.work.popleft() if self.work and not self.stop.is_set() else None

    def add(self, work: Work) -> None:
        """A kernel is ready to be measured."""
        with self.changed:
            self.work.append(work)
            self.changed.notify_all()

    def give(self, result: Result, *, again: Work | None = None) -> None:
        """A result is known; `again` is to be measured once more, before anything else."""
        with self.changed:
            self.results.append(result)
            if again is not None and again.batch == self.batch:
                self.work.appendleft(again)
            self.changed.notify_all()


class DeviceThread(threading.Thread):
    """A thread with a process that talks to one device at a time. The thread lives as long as the process:
    Linux ends processes with the thread that started them.
    """

    def __init__(self, number: int, hub: DeviceQueue) -> None:
        super().__init__(name=f"lane-{number}", daemon=True)
        self.number, self.hub = number, hub
        self.device: Connected | None = None
        self._since = 0.0
        self._pause = FIRST_PAUSE
        self._pool: WorkerPool | None = None

    def run(self) -> None:
        """Until the hub stops."""
        folder = self.hub.scratch / f"lane-{self.number}"
        folder.mkdir()
        env = {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TVM_USE_RUNTIME_LIB": "1"}
        try:
            with WorkerPool("device", 1, scratch=folder, env=env) as self._pool:
                while not self.hub.stop.is_set():
                    self._turn()
        except Exception as error:
            if not self.hub.stop.is_set():
                self.hub.problem = f"a measuring process failed: {error}"
        finally:
            self.hub.waiting[self.number] = "it has ended"

    def interrupt(self) -> None:
        """End what the process is at, so that the thread looks at `hub.stop`."""
        if self._pool is not None:
            for pid in self._pool.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _turn(self) -> None:
        if not self.hub.work:
            with self.hub.changed:
                self.hub.changed.wait(TICK)
            self._release_when_idle()
            return
        device = self._held() or self._acquire()
        if device is None:
            self.hub.stop.wait(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            return
        work = self.hub.take()
        if work is not None:
            self._since = time.monotonic()
            result = self._measure(device, work)
            self.hub.give(result, again=None if result.final else work)

    def _held(self) -> Connected | None:
        """The device that we hold, if its session has enough of its time left."""
        age = time.monotonic() - self._connected_at if self.device is not None else 0.0
        if self.device is not None and age > self.hub.options.session_seconds / 2:
            self._drop()
        return self.device

    def _acquire(self) -> Connected | None:
        options, address = self.hub.options, self.hub.address
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
            self.hub.waiting[self.number] = _said(outcome)
            return None
        if bool(outcome.emulated) != self.hub.emulated:
            self.hub.problem = (
                f"some {address.key} are emulated, some are not; give them different keys"
            )
            return None
        self.device, self._connected_at, self._pause = outcome, time.monotonic(), FIRST_PAUSE
        self.hub.waiting.pop(self.number, None)
        return outcome

    def _measure(self, device: Connected, work: Work) -> Result:
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
        return Result(work.batch, work.index, costs, error, message, seconds, final)

    def _allowed(self, step: str) -> float:
        """Seconds for a step. The network's share is generous: slow is not broken."""
        if step in ("load", "check"):
            return self.hub.options.transfer_timeout
        trip = self.device.round_trip if self.device is not None else 0.0
        return self.hub.options.run_timeout + 20 * trip

    def _judge(
        self, device: Connected, work: Work, step: str, outcome: Outcome
    ) -> tuple[Failure, str, bool]:
        """What failed: (error, message, whether that is the end of it)."""
        where = f"device {device.host}:{device.port}"
        if isinstance(outcome, Failed) and outcome.error != "device":
            self._drop()  # the kernel may have written where it should not
            return ("wrong" if outcome.error == "wrong" else "run"), outcome.message, True
        if isinstance(outcome, TimedOut):
            self.device = None  # its process was killed, which closed the session
            if step in ("call", "time") and answers(device, self.hub.options.probe_seconds):
                message = f"the kernel took over {outcome.seconds:g} s"
                work.timeouts += 1
                if work.timeouts > 1:
                    return "timeout", message, True
                # A board that froze for a while looks the same: only the second time counts.
                return self._device_failed(work, f"{where} answered late, or {message}")
            return self._device_failed(work, f"{where} hangs: no answer in {outcome.seconds:g} s")
        self._drop()
        if answers(device, self.hub.options.probe_seconds) and (after := self._acquire()):
            return self._compare(work, step, device, after, _said(outcome))
        return self._device_failed(work, f"{where} is gone: {_said(outcome)}", doubt=step == "call")

    def _compare(
        self, work: Work, step: str, before: Connected, after: Connected, said: str
    ) -> tuple[Failure, str, bool]:
        """The device before and after a lost connection."""
        where = f"device {before.host}:{before.port}"
        if (after.host, after.port) != (before.host, before.port) or not after.identity:
            return self._device_failed(
                work, f"{where} was lost: {said}", doubt=step in ("call", "time")
            )
        if after.identity != before.identity:
            return self._device_failed(work, f"{where} was restarted")
        if after.crashes == before.crashes:
            return self._device_failed(work, f"{where} lost its connection: {said}")
        name = error_text.exit_name(after.last_exit)
        if after.last_exit in OWN_DEATHS or after.last_exit > 0:
            return "crash", f"the kernel died on the device: {name}", True
        return self._device_failed(work, f"the session on {where} was killed: {name}")

    def _device_failed(
        self, work: Work, message: str, *, doubt: bool = False
    ) -> tuple[Failure, str, bool]:
        work.attempts += 1
        work.doubts += doubt
        if work.doubts >= ATTEMPTS - 1:
            return "crash", f"every device is lost in it, last: {message}", True
        return "device", message, work.attempts >= ATTEMPTS

    def _release_when_idle(self) -> None:
        if (
            self.device is not None
            and time.monotonic() - self._since > self.hub.options.idle_seconds
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


def answers(device: Connected, seconds: float) -> bool:
    """Whether the device's server takes connections again, by a greeting with a key that fits nobody."""
    end = time.monotonic() + seconds
    greeting = b"client:nobody"
    while (left := end - time.monotonic()) > 0:
        try:
            with socket.create_connection((device.host, device.port), timeout=left) as sock:
                sock.sendall(struct.pack("<ii", RPC_MAGIC, len(greeting)) + greeting)
                (code,) = struct.unpack("<i", sock.recv(4))
                return bool(code == MISMATCH)
        except (OSError, struct.error):
            pass  # not up yet, or gone
        time.sleep(min(TICK, max(0.0, end - time.monotonic())))
    return False


def devices_known(address: Address) -> int:
    """How many devices the tracker has of the key, at least 1."""
    return max(1, tracker.summary(address.tracker).count(address.key))


def _said(outcome: Outcome) -> str:
    if isinstance(outcome, Failed):
        return outcome.message
    if isinstance(outcome, TimedOut):
        return f"no answer in {outcome.seconds:g} s"
    return f"our process died: {outcome.cause}" if isinstance(outcome, Died) else "no device"
