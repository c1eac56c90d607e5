# SPDX-License-Identifier: Apache-2.0
"""Processes that outlive their jobs but not their parent, and are replaced when a job kills them.

Takes jobs (`mnc.compile.measure.messages`); gives each one's outcome as soon as it is known: the
worker's answer, Died with the signal's name, or TimedOut.
"""

import contextlib
import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from mnc.compile.measure.messages import Died, Job, Outcome, Reply, TimedOut
from mnc.support import child_process, error_text
from mnc.support.closing import Closing
from mnc.support.errors import UserError

START_SECONDS = 120.0  # a loaded machine may need long to import TVM; a broken one must not hang us

_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], Reply] = msgspec.json.Decoder(Reply).decode


class WorkerProcess:
    """One process of a role, and the job it is at. `cpus` restricts it to those cores."""

    def __init__(
        self, role: str, *, errors: Path, env: Mapping[str, str], cpus: frozenset[int] | None
    ) -> None:
        self.errors = errors
        self.job: int | None = None
        self.deadline = 0.0
        self._allowed = 0.0
        self._ready = False
        self._received = b""
        with errors.open("wb") as log:
            self.process = subprocess.Popen(
                child_process.python("mnc.compile.measure.worker", role),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=child_process.environment(**env, MNC_PARENT=str(os.getpid())),
                start_new_session=True,  # a terminal's Ctrl-C reaches the parent only
            )
        if cpus is not None:
            os.sched_setaffinity(self.process.pid, cpus)

    def fileno(self) -> int:
        """Where answers arrive, for a selector."""
        return child_process.pipe(self.process.stdout).fileno()

    def start(self, number: int, job: Job, *, timeout: float) -> None:
        """Hand over a job; the time allowed begins when the process is up."""
        self.job, self._allowed = number, timeout
        self.deadline = time.monotonic() + (timeout if self._ready else START_SECONDS)
        jobs = child_process.pipe(self.process.stdin)
        # A process that has just died shows at the next read, with the reason.
        with contextlib.suppress(BrokenPipeError):
            jobs.write(_encode(job) + b"\n")
            jobs.flush()

    def receive(self) -> Reply | Died | None:
        """What came: an answer, a death, or nothing whole yet."""
        data = os.read(self.fileno(), 1 << 16)
        if not data:
            return Died(cause=self._cause_of_death())
        self._received += data
        while b"\n" in self._received:
            line, self._received = self._received.split(b"\n", 1)
            if line != b'"ready"':
                return _decode(line)
            self._ready = True
            self.deadline = time.monotonic() + self._allowed
        return None

    def end(self) -> None:
        """Kill the process and reap it, whatever state it is in."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                child_process.pipe(stream).close()

    @property
    def started_well(self) -> bool:
        """Whether it ever said that it is ready."""
        return self._ready

    def _cause_of_death(self) -> str:
        how = error_text.exit_name(self.process.wait())
        said = error_text.last_words(self.errors.read_text("utf-8", errors="replace"))
        return ": ".join([how, said] if said else [how])


class WorkerPool(Closing):
    """`count` processes of one role. Use as a context manager: no process is left at the end."""

    def __init__(
        self,
        role: str,
        count: int,
        *,
        scratch: Path,
        env: Mapping[str, str],
        cpus: frozenset[int] | None = None,
    ) -> None:
        self._role, self._scratch, self._env, self._cpus = role, scratch, dict(env), cpus
        self._made = 0
        self._workers = [self._new() for _ in range(count)]

    def close(self) -> None:
        """End every process; safe to call twice."""
        while self._workers:
            self._workers.pop().end()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes now alive."""
        return tuple(worker.process.pid for worker in self._workers)

    def run(self, jobs: Sequence[Job], *, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """Yield (position of the job, outcome) in the order they end. `timeout` is seconds a job.

        When the caller stops early or Ctrl-C comes, busy processes are replaced: what they were at
        is nobody's any more.
        """
        waiting = deque(enumerate(jobs))
        try:
            while waiting or self._busy():
                for worker in self._workers:
                    if waiting and worker.job is None:
                        number, job = waiting.popleft()
                        worker.start(number, job, timeout=timeout)
                yield from self._wait(timeout)
        finally:
            for worker in self._busy():
                self._replace(worker)

    def _wait(self, timeout: float) -> list[tuple[int, Outcome]]:
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                selector.register(worker, selectors.EVENT_READ)
            first = min(worker.deadline for worker in self._busy())
            ready = selector.select(max(0.0, first - time.monotonic()))
        ended = [
            self._take(key.fileobj) for key, _ in ready if isinstance(key.fileobj, WorkerProcess)
        ]
        late = [worker for worker in self._busy() if worker.deadline < time.monotonic()]
        ended += [self._kill(worker, timeout) for worker in late]
        return [one for one in ended if one is not None]

    def _take(self, worker: WorkerProcess) -> tuple[int, Outcome] | None:
        outcome = worker.receive()
        if outcome is None:
            return None
        number, worker.job = worker.job, None
        if isinstance(outcome, Died):
            if not worker.started_well:
                raise UserError(f"a {self._role} process did not start: {outcome.cause}")
            self._replace(worker)
        return None if number is None else (number, outcome)

    def _kill(self, worker: WorkerProcess, timeout: float) -> tuple[int, Outcome] | None:
        number = worker.job
        if not worker.started_well:
            raise UserError(
                f"a {self._role} process did not start in {START_SECONDS:g} s: the machine is too busy; "
                "what is done is kept, run it again when it is less so"
            )
        self._replace(worker)
        return None if number is None else (number, TimedOut(seconds=timeout))

    def _busy(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.job is not None]

    def _replace(self, worker: WorkerProcess) -> None:
        worker.end()
        self._workers[self._workers.index(worker)] = self._new()

    def restart(self) -> None:
        """Replace every process: after a kernel that may have written where it should not."""
        for worker in list(self._workers):
            self._replace(worker)

    def _new(self) -> WorkerProcess:
        self._made += 1
        errors = self._scratch / f"{self._role}-{self._made}.err"
        return WorkerProcess(self._role, errors=errors, env=self._env, cpus=self._cpus)
