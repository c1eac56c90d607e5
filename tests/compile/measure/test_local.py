# SPDX-License-Identifier: Apache-2.0
"""Measuring on this machine: real kernels, and every way in which one can fail."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.measure import run_worker
from mnc.compile.measure.local import LocalMeasurer
from mnc.compile.measure.messages import Argument
from mnc.compile.measure.options import LocalOptions
from mnc.compile.records.trial import Trial
from mnc.compile.toolchain.graph import Role
from mnc.support.errors import UserError
from mnc.targets import Target, load
from tests.compile import faulty_template, tuning_tasks

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def target() -> Target:
    return tuning_tasks.host()


@pytest.fixture(scope="module")
def measurer(target: Target) -> Iterator[LocalMeasurer]:
    options = LocalOptions(
        compile_timeout=5.0, run_timeout=2.0, templates=(faulty_template.MODULE,)
    )
    with LocalMeasurer(target, options=options) as one:
        yield one


def measure(measurer: LocalMeasurer, task: TunableTask, indices: list[int]) -> dict[int, Trial]:
    configs = [task.task.config_space.get(index) for index in indices]
    return {trial.config.index: trial for trial in measurer.measure(task, configs)}


def test_times_kernels_that_are_right(measurer: LocalMeasurer, target: Target) -> None:
    task = tuning_tasks.pointwise_task(target, size=28)
    indices = tuning_tasks.indices(task, 4)
    trials = measure(measurer, task, indices)
    assert sorted(trials) == indices
    for trial in trials.values():
        assert trial.error is None and trial.verified, trial.message
        assert trial.key == task.key and trial.threads == 1
        # No core does more than this; less than a thousandth of it would be another unit of time.
        assert 0.01 < 2 * task.macs / trial.cost / 1e9 < 2000
        assert trial.measurer == measurer.describe()


def test_depthwise_is_checked_and_timed(measurer: LocalMeasurer, target: Target) -> None:
    task = tuning_tasks.depthwise_task(target)
    trials = measure(measurer, task, tuning_tasks.indices(task, 2))
    assert len(trials) == 2
    assert all(trial.verified and trial.costs for trial in trials.values())


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("none", None, ""),
        ("wrong", "wrong", "1 of"),
        ("unwritten", "wrong", "NaN"),
        ("segfault", "crash", "SIGSEGV"),
        ("illegal", "crash", "SIGILL"),
        ("hang", "timeout", "the kernel took over 2 s"),
        ("refused", "compile", "this template refuses"),
        ("compiler dies", "compile", "SIGSEGV"),
        ("compiler hangs", "timeout", "the compiler took over 5 s"),
    ],
)
def test_a_failure_has_a_kind_and_a_reason(
    measurer: LocalMeasurer, target: Target, fault: str, error: str | None, said: str
) -> None:
    index = faulty_template.FAULTS.index(fault)
    trial = measure(measurer, tuning_tasks.faulty_task(target), [index])[index]
    assert trial.error == error
    assert said in trial.message
    assert trial.verified == (error is None)


@pytest.mark.slow
@pytest.mark.alone
def test_failures_of_a_batch_spoil_no_other_trial(measurer: LocalMeasurer, target: Target) -> None:
    every = list(range(len(faulty_template.FAULTS)))
    trials = measure(measurer, tuning_tasks.faulty_task(target), every)
    assert sorted(trials) == every
    assert [index for index in every if trials[index].error is None] == [0]
    task = tuning_tasks.pointwise_task(target, size=28)
    after = measure(measurer, task, tuning_tasks.indices(task, 2))
    assert len(after) == 2 and all(trial.verified for trial in after.values())


def test_stopping_early_leaves_a_measurer_that_works(
    measurer: LocalMeasurer, target: Target
) -> None:
    task = tuning_tasks.pointwise_task(target)
    indices = tuning_tasks.indices(task, 8)
    configs = [task.task.config_space.get(index) for index in indices]
    trials = measurer.measure(task, configs)
    next(trials)
    trials.close()  # type: ignore[attr-defined]
    assert measure(measurer, task, indices[3:4])[indices[3]].verified


def test_no_process_and_no_file_is_left(target: Target) -> None:
    with LocalMeasurer(target) as one:
        pids, folder = one.pids, one._scratch
        task = tuning_tasks.pointwise_task(target)
        measure(one, task, tuning_tasks.indices(task, 1))
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not folder.exists()


ORPHANS = """
from mnc.compile.measure.local import LocalMeasurer
from mnc.compile.measure.options import LocalOptions
from tests.compile import faulty_template, tuning_tasks
target = tuning_tasks.host()
options = LocalOptions(templates=(faulty_template.MODULE,), compile_timeout=600, run_timeout=600)
with LocalMeasurer(target, options=options) as one:
    task = tuning_tasks.faulty_task(target)
    fault = faulty_template.FAULTS.index({fault!r})
    print(*one.pids, flush=True)
    list(one.measure(task, [task.task.config_space.get(fault)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hang", "compiler hangs"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(fault: str, number: signal.Signals) -> None:
    """Also when they are stuck, and also when nobody can tell them."""
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANS.format(fault=fault)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert pids
    time.sleep(3)  # until the job is under way; were it not, this would test less, not fail
    parent.send_signal(number)
    parent.wait()
    psutil.wait_procs([psutil.Process(p) for p in pids if psutil.pid_exists(p)], timeout=30)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_difference_is_told_in_one_line() -> None:
    right = np.linspace(-2, 2, 1000, dtype=np.float32)
    assert run_worker.difference(right, right) == ""
    assert run_worker.difference(right * np.float32(1 + 1e-6), right) == ""
    off = right.copy()
    off[3] += 0.001
    assert run_worker.difference(off, right).startswith("1 of 1000 outputs differ")
    off[4] = np.nan
    assert "NaN" in run_worker.difference(off, right)


def test_arguments_are_matched_by_their_roles_in_any_order() -> None:
    shape = (1, 1, 3, 3, 1, 16)
    known = {role: np.zeros(shape, np.float32) for role in ("taps", "data", "kernel", "output")}
    roles: tuple[Role, ...] = ("output", "kernel", "taps", "data")
    arguments = tuple(Argument(shape=shape, dtype="float32", role=role) for role in roles)
    found = run_worker.match(known, arguments)
    assert [id(array) for array in found] == [id(known[role]) for role in roles]
    for other in (
        Argument(shape=shape, dtype="float32", role="bias"),
        Argument(shape=(1, 16), dtype="float32", role="data"),
    ):
        with pytest.raises(ValueError, match=f"the kernel wants {other.role}"):
            run_worker.match(known, (other,))


def test_a_pair_whose_kernel_and_taps_have_one_shape_is_right(
    measurer: LocalMeasurer, target: Target
) -> None:
    task = tuning_tasks.fused_task(target)
    trials = measure(measurer, task, tuning_tasks.indices(task, 4))
    assert len(trials) == 4
    assert all(trial.verified and trial.costs for trial in trials.values())


def test_a_kernel_that_swaps_two_arguments_of_one_shape_is_refused(target: Target) -> None:
    task = tuning_tasks.fused_task(target)
    index, *_ = tuning_tasks.indices(task, 1)
    options = LocalOptions(templates=(tuning_tasks.SWAPPED,))
    with LocalMeasurer(target, options=options) as one:
        trial = measure(one, task, [index])[index]
    assert trial.error == "wrong" and "outputs differ" in trial.message


def test_the_middle_half_is_kept() -> None:
    assert run_worker.middle([5.0, 1.0, 2.0, 3.0, 99.0, 4.0, 2.5, 3.5]) == (2.5, 3.0, 3.5, 4.0)
    assert run_worker.middle([1.0]) == (1.0,)


def test_repeats_stop_when_they_tell_nothing_more() -> None:
    steady, wild = [1.0] * 10, [1.0, 1.3] * 5
    assert run_worker.enough(steady, None) and not run_worker.enough(steady[:5], None)
    assert not run_worker.enough(wild, None)
    assert not run_worker.enough(wild, 1.1)  # may yet be the best
    assert run_worker.enough(wild, 0.9) and not run_worker.enough(wild[:6], 0.9)
    assert run_worker.enough(wild[:6], 0.5)


def test_what_this_machine_cannot_measure_is_refused(target: Target) -> None:
    with pytest.raises(UserError, match="cannot be timed here"):
        LocalMeasurer(load("rpi4"))
    cores = len(os.sched_getaffinity(0))
    for threads in (0, cores + 1):
        with pytest.raises(UserError, match=f"give 1 to {cores}"):
            LocalMeasurer(target, options=LocalOptions(threads=threads))
