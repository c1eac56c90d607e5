# SPDX-License-Identifier: Apache-2.0
"""Makes this machine a worker that simulates for others: registers with a tracker, as a board would.

Takes a tracker's address and a count; gives `FleetWorker`s that are gone, with all their processes and files,
when their owner is.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.address import HOST, LOOPBACK, warning
from mnc.compile.rpc.daemon import Daemon
from mnc.compile.rpc.server_names import SIMULATOR_KEY
from mnc.support import child_process

logger = logging.getLogger(__name__)

FIRST_PORT, LAST_PORT = 9091, 9190
START_SECONDS = 120.0


class FleetWorker(Daemon):
    """One worker, kept up: it does one candidate at a time."""

    def __init__(self, tracker: tuple[str, int], *, host: str, key: str) -> None:
        command = child_process.python("mnc.compile.measure.fleet.server", f"--host={host}")
        command += [f"--key={key}", f"--tracker={trackers.text(tracker)}"]
        command += ["--port-file={folder}/port"]
        if host in LOOPBACK:
            command += [f"--custom-addr={host}"]  # else the tracker sees where we call from
        super().__init__(
            "the simulating worker",
            command,
            environment=child_process.environment(
                TVM_USE_RUNTIME_LIB="1",
                TVM_BIND_THREADS="0",  # else every worker of a machine gets the same core
                PYTHONUNBUFFERED="1",
            ),
            first=[f"--port={FIRST_PORT}", f"--port-end={LAST_PORT}"],
        )
        self.tracker, self.key = tracker, key

    def registered(self) -> bool:
        """Whether the tracker knows it."""
        try:
            port = int((self.folder / "port").read_text())
        except (OSError, ValueError):
            return False
        known = trackers.summary(self.tracker)
        return any(server.key == self.key and server.port == port for server in known.servers)


def start_worker(
    tracker: tuple[str, int], *, host: str = HOST, key: str = SIMULATOR_KEY
) -> FleetWorker:
    """A worker, up and known to the tracker; UserError when there is no tracker or it does not start."""
    trackers.summary(tracker)  # a clear error now rather than a worker that waits
    worker = FleetWorker(tracker, host=host, key=key)
    try:
        worker.wait_until(worker.registered, seconds=START_SECONDS)
    except BaseException:
        worker.stop()
        raise
    return worker


@contextmanager
def running_workers(
    *, tracker: tuple[str, int] | None = None, count: int | None = None, host: str = HOST
) -> Iterator[list[FleetWorker]]:
    """`count` workers (None: one for each core) of `tracker`, or of the one found or started here."""
    if (words := warning(host)) is not None:
        logger.warning("%s", words)
    with ExitStack() as open_ones:
        place = tracker or open_ones.enter_context(trackers.found_or_started(host=host))
        yield [
            open_ones.enter_context(start_worker(place, host=host))
            for _ in range(count or len(os.sched_getaffinity(0)))
        ]
