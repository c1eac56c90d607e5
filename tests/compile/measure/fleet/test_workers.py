# SPDX-License-Identifier: Apache-2.0
"""Workers that simulate for others: they give our own costs, and losing one loses nothing."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from mnc.compile.measure.fleet import client
from mnc.compile.measure.fleet.client import Fleet
from mnc.compile.measure.fleet.workers import FleetWorker, start_worker
from mnc.compile.measure.options import SimulationOptions
from mnc.compile.measure.simulated import SimulatedMeasurer
from mnc.compile.records.trial import Trial
from mnc.compile.rpc import fleet as devices
from mnc.compile.rpc.server_names import SIMULATOR_KEY
from mnc.compile.rpc.tracker import Tracker, start_tracker, summary
from mnc.support.errors import UserError
from mnc.targets import Target, load
from tests.compile import tuning_tasks

pytestmark = pytest.mark.slow
BOARD = load("rk3399")
Costs = dict[int, float]


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    """A tracker of these tests' own."""
    with start_tracker(port=9391) as started:
        yield started


@pytest.fixture(scope="module")
def workers(tracker: Tracker) -> Iterator[list[FleetWorker]]:
    """Two that have joined it."""
    with start_worker(tracker.address) as first, start_worker(tracker.address) as second:
        yield [first, second]


def costs(trials: list[Trial]) -> Costs:
    """By config."""
    return {trial.config.index: trial.cost for trial in trials}


def simulated(target: Target, count: int, fleet: Fleet | None = None) -> list[Trial]:
    """Trials of the first configs of a small pointwise task."""
    task = tuning_tasks.pointwise_task(target, inputs=64, outputs=64, size=14)
    chosen = [task.task.config_space.get(i) for i in tuning_tasks.indices(task, count)]
    options = SimulationOptions(workers=1, verify=False)
    with SimulatedMeasurer(target, options=options, engine=fleet) as measurer:
        return list(measurer.measure(task, chosen))


def test_workers_give_the_costs_that_this_machine_gives(
    tracker: Tracker, workers: list[FleetWorker]
) -> None:
    there = simulated(BOARD, 6, Fleet(tracker.address, BOARD))
    here = simulated(BOARD, 6)
    assert costs(there) == costs(here)
    assert {trial.measurer for trial in there} == {trial.measurer for trial in here}
    assert all(trial.error is None for trial in here)


def test_a_lost_worker_s_candidate_is_done_by_another(
    tracker: Tracker, workers: list[FleetWorker]
) -> None:
    fleet = Fleet(tracker.address, BOARD)
    assert fleet.workers == 2

    def kill() -> None:
        time.sleep(1.5)
        for _ in range(3):
            os.killpg(workers[0].pid, signal.SIGKILL)
            time.sleep(2.0)

    killer = threading.Thread(target=kill)
    killer.start()
    trials = simulated(BOARD, 24, fleet)
    killer.join()
    assert len(trials) == 24 and all(trial.error is None for trial in trials)
    state = workers[0].state
    assert state is not None and state.boots > 1  # it was lost indeed, and came back


def test_workers_are_listed_as_devices_are(tracker: Tracker, workers: list[FleetWorker]) -> None:
    rows = devices.devices(tracker.address, ask=False)
    assert {row.key for row in rows} == {SIMULATOR_KEY}


def test_a_worker_with_another_core_model_is_not_used(
    tracker: Tracker, workers: list[FleetWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "full_identity", lambda target: "v0-00000000 none")
    with pytest.raises(UserError, match="another core model"):
        simulated(BOARD, 2, Fleet(tracker.address, BOARD))


def test_a_tracker_without_workers_says_how_to_get_one(tracker: Tracker) -> None:
    assert summary(tracker.address).count("nobody") == 0
    with pytest.raises(UserError, match="mnc simulate-worker --tracker"):
        Fleet(tracker.address, BOARD, key="nobody")
