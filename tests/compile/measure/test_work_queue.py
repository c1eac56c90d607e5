# SPDX-License-Identifier: Apache-2.0
"""Work that threads share: handed out once, put back when a worker is lost, dropped with its batch."""

import threading
from dataclasses import dataclass

from mnc.compile.measure.work_queue import WorkQueue


@dataclass(frozen=True)
class Piece:
    batch: int
    name: str


def test_work_is_taken_in_order_and_what_was_put_back_first() -> None:
    queue = WorkQueue[Piece, Piece]()
    batch = queue.new_batch()
    first, second = Piece(batch, "first"), Piece(batch, "second")
    queue.add([first, second])
    assert queue.take(seconds=0) == first
    queue.put_back(first)
    assert [queue.take(seconds=0), queue.take(seconds=0)] == [first, second]
    assert queue.take(seconds=0) is None and not queue.has_work(seconds=0)


def test_a_batch_that_was_given_up_is_neither_done_nor_told() -> None:
    queue = WorkQueue[Piece, Piece]()
    old = Piece(queue.new_batch(), "old")
    queue.add([old, old])
    taken = queue.take(seconds=0)
    new = Piece(queue.new_batch(), "new")
    assert taken == old and not queue.has_work(seconds=0)
    queue.put_back(old)
    queue.give(old)
    queue.give(new)
    assert queue.take(seconds=0) is None
    assert queue.results(seconds=0) == [new] and queue.results(seconds=0) == []


def test_who_waits_is_woken_by_work_and_by_the_end() -> None:
    queue = WorkQueue[Piece, Piece]()
    batch = queue.new_batch()
    found: list[Piece | None] = []

    def worker() -> None:
        while not queue.stop.is_set():
            found.append(queue.take(seconds=60))

    thread = threading.Thread(target=worker)
    thread.start()
    queue.add([Piece(batch, "only")])
    while not found:
        pass
    queue.halt()
    thread.join(30)
    assert not thread.is_alive() and found[0] == Piece(batch, "only")


def test_it_knows_why_no_thread_has_a_worker() -> None:
    queue = WorkQueue[Piece, Piece]()
    assert queue.why_idle(1) == ""
    queue.without_worker(0, "the tracker is away")
    assert queue.why_idle(2) == "" and queue.why_idle(1) == "the tracker is away"
    queue.with_worker(0)
    assert queue.why_idle(1) == "" and queue.reasons() == []
