# SPDX-License-Identifier: Apache-2.0
"""What threads that each hold a worker (a device, a process elsewhere) share with the one that wants results.

Takes pieces of work, in batches; gives their results as they come. A piece whose worker was lost is put back;
of a batch that was given up nothing is done or told any more.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class OfBatch(Protocol):
    """Work, or a result: it belongs to a batch."""

    @property
    def batch(self) -> int:
        """The batch's number."""
        ...


W = TypeVar("W", bound=OfBatch)
R = TypeVar("R", bound=OfBatch)


@dataclass
class WorkQueue(Generic[W, R]):
    """`batch` is the one that is wanted, `idle` the threads without a worker, by number, and why. `problem`,
    when there is one, ends it all. Set `stop` by `halt`.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    batch: int = 0
    idle: dict[int, str] = field(default_factory=dict)
    problem: str = ""
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _work: deque[W] = field(default_factory=deque)
    _results: deque[R] = field(default_factory=deque)

    def new_batch(self) -> int:
        """Give up the batch before, what is still being done of it included; returns the new one's number."""
        with self._changed:
            self._work.clear()
            self.batch += 1
            return self.batch

    def add(self, work: Iterable[W]) -> None:
        """Work that is to be done, in this order."""
        with self._changed:
            self._work.extend(work)
            self._changed.notify_all()

    def put_back(self, work: W) -> None:
        """To be done again, before anything else; dropped when its batch was given up."""
        with self._changed:
            if work.batch == self.batch and not self.stop.is_set():
                self._work.appendleft(work)
                self._changed.notify_all()

    def has_work(self, *, seconds: float) -> bool:
        """Whether there is any, now or within `seconds`."""
        with self._changed:
            if not self._work:
                self._changed.wait(seconds)
            return bool(self._work)

    def take(self, *, seconds: float) -> W | None:
        """The next piece, if there is one within `seconds`."""
        with self._changed:
            if not self._work:
                self._changed.wait(seconds)
            return self._work.popleft() if self._work and not self.stop.is_set() else None

    def give(self, result: R) -> None:
        """A result is known."""
        with self._changed:
            self._results.append(result)
            self._changed.notify_all()

    def results(self, *, seconds: float) -> list[R]:
        """What has come of the batch since the last call, waiting up to `seconds` for the first."""
        with self._changed:
            if not self._results:
                self._changed.wait(seconds)
            found = [result for result in self._results if result.batch == self.batch]
            self._results.clear()
            return found

    def without_worker(self, thread: int, reason: str) -> None:
        """A thread has no worker."""
        with self._changed:
            self.idle[thread] = reason

    def with_worker(self, thread: int) -> None:
        """A thread has one again."""
        with self._changed:
            self.idle.pop(thread, None)

    def reasons(self) -> list[str]:
        """Why threads have no worker, one each of those that have none."""
        with self._changed:
            return list(self.idle.values())

    def why_idle(self, threads: int) -> str:
        """Why none of so many threads has a worker; "" when one has."""
        reasons = self.reasons()
        return reasons[0] if reasons and len(reasons) >= threads else ""

    def halt(self) -> None:
        """End it: threads see `stop` at once."""
        self.stop.set()
        with self._changed:
            self._changed.notify_all()
