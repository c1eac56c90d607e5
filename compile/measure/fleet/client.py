# SPDX-License-Identifier: Apache-2.0
"""Simulates on the machines that have joined a tracker, all of them at once, and outlives what befalls them.

Takes jobs; gives outcomes as a pool of processes here does. A job whose worker is lost is done by another;
a worker that joins late is used from then on; one with another core model than ours is not used.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from mnc.compile.measure.messages import Died, Job, Outcome
from mnc.compile.measure.work_queue import WorkQueue
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.address import Address
from mnc.compile.rpc.connection import Connection, open_session
from mnc.compile.rpc.server_names import SIMULATE, SIMULATOR_IDENTITY, SIMULATOR_KEY
from mnc.compile.simulator.identity import full_identity
from mnc.support.errors import UserError
from mnc.targets import Target

ATTEMPTS = 4  # on workers that are lost, before a job is given up
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between requests for a worker
WAIT_SECONDS = 600.0  # without any worker
LOOK_SECONDS = 2.0  # between looks for workers that have joined
GRACE_SECONDS = 150.0  # beyond a job's own limit: a worker's process may have to start first


@dataclass(frozen=True)
class _Work:
    """A job: its place in the batch, the seconds that it may take, how often it was lost with a worker."""

    batch: int
    index: int
    job: Job
    timeout: float
    attempts: int = 0


@dataclass(frozen=True)
class _Model:
    """What workers must know: `target` as JSON, and what the core model that answers for it is called."""

    target: str
    identity: str


@dataclass(frozen=True)
class _Result:
    batch: int
    index: int
    outcome: Outcome


_Queue = WorkQueue[_Work, _Result]


class Fleet:
    """`mnc.compile.measure.simulated.Engine` on every worker of a tracker. UserError when it has none."""

    def __init__(
        self, tracker: tuple[str, int], target: Target, *, key: str = SIMULATOR_KEY
    ) -> None:
        self._address = Address(*tracker, key)
        # Once, in this thread: Python's parser fails when several threads use it.
        self._model = _Model(msgspec.json.encode(target).decode(), full_identity(target))
        self._queue = _Queue()
        self._threads: list[_WorkerThread] = []
        self._looked = 0.0
        if not trackers.summary(tracker).count(key):
            where = trackers.text(tracker)
            raise UserError(
                f"no worker has joined the tracker at {where}; on any machine with this version of mnc: "
                f"mnc simulate-worker --tracker {where}"
            )
        self._look()

    @property
    def workers(self) -> int:
        """Workers known now."""
        return max(1, len(self._threads))

    def run(self, jobs: Sequence[Job], *, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """Yield (position of the job, outcome) in the order they end; UserError when no worker is left."""
        batch = self._queue.new_batch()
        self._queue.add(_Work(batch, i, job, timeout) for i, job in enumerate(jobs))
        left = len(jobs)
        try:
            while left:
                for result in self._wait():
                    left -= 1
                    yield result.index, result.outcome
        finally:
            self._queue.new_batch()  # what is still being done is nobody's any more

    def close(self) -> None:
        """Give the workers back; safe to call twice."""
        self._queue.halt()
        for thread in self._threads:
            thread.close()

    def _wait(self) -> list[_Result]:
        end = time.monotonic() + WAIT_SECONDS
        while True:
            self._look()
            if found := self._queue.results(seconds=0.5):
                return found
            reason = self._queue.why_idle(len(self._threads))
            if not reason:
                end = time.monotonic() + WAIT_SECONDS
                continue
            for other in self._queue.reasons():
                if other.startswith(OTHER_MODEL):
                    raise UserError(other)
            if time.monotonic() > end:
                raise UserError(
                    f"no worker for {WAIT_SECONDS:g} s ({reason}); the log keeps what "
                    "was simulated: start the same command again when there are workers"
                )

    def _look(self) -> None:
        """One thread a worker that the tracker knows."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            known = trackers.summary(self._address.tracker, seconds=2.0).count(self._address.key)
        except UserError:
            return  # the tracker is away: those who have a worker go on with it
        while len(self._threads) < known:
            thread = _WorkerThread(len(self._threads), self._queue, self._address, self._model)
            self._threads.append(thread)
            thread.start()


OTHER_MODEL = "a worker has another core model"


class _WorkerThread(threading.Thread):
    """A thread that holds one worker at a time, and asks the tracker for another when that is lost."""

    def __init__(self, number: int, queue: _Queue, address: Address, model: _Model) -> None:
        super().__init__(name=f"simulator-{number}", daemon=True)
        self._number, self._queue, self._address, self._model = number, queue, address, model
        self._session: Connection | None = None
        self._simulate: Any = None
        self._pause = FIRST_PAUSE

    def run(self) -> None:
        """Until the queue stops."""
        while not self._queue.stop.is_set():
            if self._session is None and not self._acquire():
                self._queue.stop.wait(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                continue
            work = self._queue.take(seconds=0.5)
            if work is not None:
                self._do(work)

    def close(self) -> None:
        """Give the worker back."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _acquire(self) -> bool:
        try:
            host, port, password = trackers.request(
                self._address.tracker, self._address.key, wait_seconds=5.0
            )
            session = open_session(self._address, host, port, password)
        except UserError as error:
            self._without(str(error))
            return False
        try:
            self._check(session)
            self._simulate = session.remote.get_function(SIMULATE)
        except (UserError, AttributeError) as error:
            session.close()
            self._without(str(error))
            return False
        self._session, self._pause = session, FIRST_PAUSE
        self._queue.with_worker(self._number)
        return True

    def _check(self, session: Connection) -> None:
        """UserError unless the worker would give the costs that we would."""
        ask = session.remote.get_function(SIMULATOR_IDENTITY)
        theirs = str(session.call(lambda: ask(self._model.target), seconds=60.0))
        if theirs != self._model.identity:
            raise UserError(
                f"{OTHER_MODEL}: {session.where} has {theirs}, this machine {self._model.identity}; use the "
                "same version of mnc on both"
            )

    def _do(self, work: _Work) -> None:
        session, simulate = self._session, self._simulate
        if session is None:
            return self._again(work, "closed")
        text, limit = msgspec.json.encode(work.job).decode(), work.timeout
        try:
            answer = session.call(lambda: simulate(text, limit), seconds=limit + GRACE_SECONDS)
            outcome = msgspec.json.decode(str(answer), type=Outcome)
        except (UserError, msgspec.MsgspecError) as error:
            self._simulate = None
            self.close()
            return self._again(replace(work, attempts=work.attempts + 1), str(error))
        return self._queue.give(_Result(work.batch, work.index, outcome))

    def _again(self, work: _Work, reason: str) -> None:
        """Put work back whose worker was lost: that says nothing about the candidate."""
        if work.attempts < ATTEMPTS:
            return self._queue.put_back(work)
        lost = Died(cause=f"every worker is lost in it: {reason}")
        return self._queue.give(_Result(work.batch, work.index, lost))

    def _without(self, reason: str) -> None:
        self._queue.without_worker(self._number, reason)
