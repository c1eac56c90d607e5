# SPDX-License-Identifier: Apache-2.0
"""Makes this machine a worker that simulates for others: registers with a tracker, as a board would.

Takes a tracker's address and a count; gives `FleetWorker`s that are gone, with all their processes and files,
when their owner is.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.address import HOST, LOOPBACK, warning
from mnc.compile.rpc.registered import RegisteredServer
from mnc.compile.rpc.server_names import SIMULATOR_KEY
from mnc.support import child_process
from mnc.targets import topology

logger = logging.getLogger(__name__)


class FleetWorker(RegisteredServer):
    """One worker, kept up: it does one candidate at a time."""

    def __init__(self, tracker: tuple[str, int], *, host: str, key: str) -> None:
        command = child_process.python("mnc.compile.measure.fleet.server", f"--host={host}")
        command += [f"--key={key}", f"--tracker={trackers.text(tracker)}"]
        if host in LOOPBACK:
            command += [f"--custom-addr={host}"]  # else the tracker sees where we call from
        super().__init__(
            "the simulating worker",
            command,
            tracker=tracker,
            key=key,
            environment=child_process.environment(
                TVM_USE_RUNTIME_LIB="1",
                TVM_BIND_THREADS="0",  # else every worker of a machine gets the same core
                PYTHONUNBUFFERED="1",
            ),
        )


def start_worker(
    tracker: tuple[str, int], *, host: str = HOST, key: str = SIMULATOR_KEY
) -> FleetWorker:
    """A worker, up and known to the tracker; UserError when there is no tracker or it does not start."""
    trackers.summary(tracker)  # a clear error now rather than a worker that waits
    worker = FleetWorker(tracker, host=host, key=key)
    worker.wait_until_registered()
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
            for _ in range(count or topology.processes())
        ]
