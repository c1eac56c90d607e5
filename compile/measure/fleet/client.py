# SPDX-License-Identifier: Apache-2.0
"""Simulates on the machines that have joined a tracker, all of them at once, and outlives what befalls them.

Takes jobs; gives outcomes as a pool of processes here does. A job whose worker is lost is done by another;
a worker that joins late is used from then on; one with another core model than ours is not used.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mnc.compile.measure.messages import Died, Job, Outcome
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.address import Address
from mnc.compile.rpc.connection import Connection, open_session
from mnc.compile.rpc.server_names import SIMULATE, SIMULATOR_IDENTITY, SIMULATOR_KEY
from mnc.compile.simulator.identity import identity
from mnc.support.errors import UserError
from mnc.targets import Target

ATTEMPTS = 4  # on workers that are lost, before a job is given up
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between requests for a worker
WAIT_SECONDS = 600.0  # without any worker
LOOK_SECONDS = 2.0  # between looks for workers that have joined
GRACE_SECONDS = 150.0  # beyond a job's own limit: a worker's process may have to start first


@dataclass
class _Hub:
    """What the lanes and the fleet share; `changed` guards it."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    work: deque[tuple[int, int, int, Job]] = field(default_factory=deque)  # run, number, attempts
    results: deque[tuple[int, int, Outcome]] = field(default_factory=deque)
    stop: threading.Event = field(default_factory=threading.Event)
    reasons: dict[int, str] = field(default_factory=dict)  # lanes without a worker, and why
    timeout: float = 60.0
    number: int = 0  # of the run whose results are wanted


class Fleet:
    """`mnc.compile.measure.simulated.Engine` on every worker of a tracker. UserError when it has none."""

    def __init__(
        self, tracker: tuple[str, int], target: Target, *, key: str = SIMULATOR_KEY
    ) -> None:
        self._address = Address(*tracker, key)
        self._target = target
        self._hub = _Hub()
        self._lanes: list[_Lane] = []
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
        return max(1, len(self._lanes))

    def run(self, jobs: Sequence[Job], *, timeout: float) -> Iterator[tuple[int, Outcome]]:
        """Yield (position of the job, outcome) in the order they end; UserError when no worker is left."""
        hub = self._hub
        with hub.changed:
            hub.number += 1
            hub.timeout = timeout
            hub.work.extend((hub.number, i, 0, job) for i, job in enumerate(jobs))
            hub.changed.notify_all()
        left = len(jobs)
        try:
            while left:
                for number, i, outcome in self._wait():
                    if number == hub.number:
                        left -= 1
                        yield i, outcome
        finally:
            with hub.changed:
                hub.work.clear()
                hub.number += 1  # what is still being done is nobody's any more

    def close(self) -> None:
        """Give the workers back; safe to call twice."""
        self._hub.stop.set()
        with self._hub.changed:
            self._hub.changed.notify_all()
        for lane in self._lanes:
            lane.close()

    def _wait(self) -> list[tuple[int, int, Outcome]]:
        end = time.monotonic() + WAIT_SECONDS
        while True:
            self._look()
            with self._hub.changed:
                if not self._hub.results:
                    self._hub.changed.wait(0.5)
                found = list(self._hub.results)
                self._hub.results.clear()
                reasons = dict(self._hub.reasons)
            if found:
                return found
            if len(reasons) < len(self._lanes):
                end = time.monotonic() + WAIT_SECONDS
            elif any(reason.startswith(OTHER_MODEL) for reason in reasons.values()):
                raise UserError(next(r for r in reasons.values() if r.startswith(OTHER_MODEL)))
            elif time.monotonic() > end:
                raise UserError(
                    f"no worker for {WAIT_SECONDS:g} s ({next(iter(reasons.values()))}); the log keeps what "
                    "was simulated: start the same command again when there are workers"
                )

    def _look(self) -> None:
        """One lane a worker that the tracker knows."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            known = trackers.summary(self._address.tracker, seconds=2.0).count(self._address.key)
        except UserError:
            return  # the tracker is away: those who have a worker go on with it
        while len(self._lanes) < known:
            lane = _Lane(len(self._lanes), self._hub, self._address, self._target)
            self._lanes.append(lane)
            lane.start()


OTHER_MODEL = "a worker has another core model"


class _Lane(threading.Thread):
    """A thread that holds one worker at a time, and asks the tracker for another when that is lost."""

    def __init__(self, number: int, hub: _Hub, address: Address, target: Target) -> None:
        super().__init__(name=f"simulator-{number}", daemon=True)
        self._number, self._hub, self._address, self._target = number, hub, address, target
        self._session: Connection | None = None
        self._simulate: Any = None
        self._pause = FIRST_PAUSE

    def run(self) -> None:
        """Until the hub stops."""
        while not self._hub.stop.is_set():
            if self._session is None and not self._acquire():
                self._hub.stop.wait(self._pause)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
                continue
            work = self._take()
            if work is not None:
                self._do(*work)

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
        with self._hub.changed:
            self._hub.reasons.pop(self._number, None)
        return True

    def _check(self, session: Connection) -> None:
        """UserError unless the worker would give the costs that we would."""
        ask = session.remote.get_function(SIMULATOR_IDENTITY)
        described = msgspec.json.encode(self._target).decode()
        theirs = str(session.call(lambda: ask(described), seconds=60.0))
        ours = identity(self._target)
        if theirs != ours:
            raise UserError(
                f"{OTHER_MODEL}: {session.where} has {theirs}, this machine {ours}; use the same version of "
                "mnc on both"
            )

    def _take(self) -> tuple[int, int, int, Job] | None:
        with self._hub.changed:
            if not self._hub.work:
                self._hub.changed.wait(0.5)
            return self._hub.work.popleft() if self._hub.work else None

    def _do(self, number: int, i: int, attempts: int, job: Job) -> None:
        session, simulate = self._session, self._simulate
        if session is None:
            return self._again(number, i, attempts, job, "closed")
        text, limit = msgspec.json.encode(job).decode(), self._hub.timeout
        try:
            answer = session.call(lambda: simulate(text, limit), seconds=limit + GRACE_SECONDS)
            outcome = msgspec.json.decode(str(answer), type=Outcome)
        except (UserError, msgspec.MsgspecError) as error:
            self._simulate = None
            self.close()
            return self._again(number, i, attempts + 1, job, str(error))
        return self._give(number, i, outcome)

    def _again(self, number: int, i: int, attempts: int, job: Job, reason: str) -> None:
        """Put a job back whose worker was lost: that says nothing about the candidate."""
        if attempts >= ATTEMPTS:
            return self._give(number, i, Died(cause=f"every worker is lost in it: {reason}"))
        with self._hub.changed:
            if number == self._hub.number and not self._hub.stop.is_set():
                self._hub.work.appendleft((number, i, attempts, job))
                self._hub.changed.notify_all()
        return None

    def _give(self, number: int, i: int, outcome: Outcome) -> None:
        with self._hub.changed:
            self._hub.results.append((number, i, outcome))
            self._hub.changed.notify_all()

    def _without(self, reason: str) -> None:
        with self._hub.changed:
            self._hub.reasons[self._number] = reason
