# SPDX-License-Identifier: Apache-2.0
"""The device process's work: hold a session on a device and check and time kernels over there.

Takes ConnectJob and StepJob; gives Connected, Done, Timed or Failed. It may be killed at any moment: then
its connection closes and the device is free again.
"""

import os
import time
from pathlib import Path
from typing import Any

import tvm

from mnc.compile.measure.messages import (
    Argument,
    Connected,
    ConnectJob,
    Done,
    Failed,
    Job,
    Reply,
    RunJob,
    StepJob,
    Timed,
    failed,
)
from mnc.compile.measure.run_worker import (
    MOST,
    STEP,
    Array,
    arrays_of,
    difference,
    enough,
    middle,
    unwritten,
)
from mnc.compile.rpc import server_names, tracker
from mnc.compile.rpc.address import Address
from mnc.compile.rpc.connection import Connection, open_session
from mnc.support.errors import UserError

CONNECT_SECONDS = 20.0
EMULATED_REPEATS = 3


class DeviceState:
    """The session, and what is on the device: the inputs of one task, one kernel."""

    session: Connection | None = None
    inputs: tuple[Any, ...] | None = None
    buffers: list[Any]
    expected: Array | None = None
    kernel: Any = None
    output = 0


def perform(job: Job) -> Reply:
    """Do one job; an exception becomes an answer that tells whether the device or the kernel failed."""
    try:
        if isinstance(job, ConnectJob):
            return _connect(job)
        if isinstance(job, StepJob) and DeviceState.session is not None:
            return _STEPS[job.step](DeviceState.session, job.run)
    except UserError as error:
        return Failed(error="device", message=str(error))
    except Exception as error:
        return failed("run" if _alive() else "device", error)
    return Failed(error="device", message="no device is connected")


def _connect(job: ConnectJob) -> Reply:
    _disconnect()
    address = Address(job.host, job.port, job.key)
    host, port, password = tracker.request(address.tracker, job.key, wait_seconds=job.wait_seconds)
    session = DeviceState.session = open_session(
        address, host, port, password,
        session_seconds=job.session_seconds, connect_seconds=CONNECT_SECONDS,
    )  # fmt: skip
    session.use_threads(job.threads, cores=job.cores)
    started = time.monotonic()
    report = session.ask()
    trip = time.monotonic() - started
    if report is None:
        return Connected(host=host, port=port, round_trip=trip)
    return Connected(
        host=host,
        port=port,
        round_trip=trip,
        identity=report.identity,
        emulated=report.emulated,
        last_exit=report.last_exit,
        crashes=report.crashes,
    )


def _load(session: Connection, run: RunJob) -> Reply:
    key = (run.reference, run.arguments)
    if DeviceState.inputs != key:
        DeviceState.buffers, DeviceState.expected = _send_inputs(
            session, run.reference, run.arguments
        )
        DeviceState.inputs = key
    DeviceState.output = next(i for i, arg in enumerate(run.arguments) if arg.is_output)
    nothing = unwritten(run.arguments[DeviceState.output])
    DeviceState.buffers[DeviceState.output].copyfrom(nothing)
    name = Path(run.library).name
    session.remote.upload(run.library)
    DeviceState.kernel = session.remote.load_module(name)
    session.remote.remove(name)
    if session.report is not None:
        session.remote.get_function(server_names.SETUP_CACHES)(run.evict_bytes)
    return Done()


def _call(session: Connection, run: RunJob) -> Reply:
    DeviceState.kernel.entry_func(*DeviceState.buffers)
    return Done()


def _check(session: Connection, run: RunJob) -> Reply:
    if DeviceState.expected is None:
        return Done()
    wrong = difference(DeviceState.buffers[DeviceState.output].numpy(), DeviceState.expected)
    return Failed(error="wrong", message=wrong) if wrong else Done()


def _time(session: Connection, run: RunJob) -> Reply:
    """Repeat until the figure is good enough or the budget of the device's own time is spent."""
    report = session.report
    costs: list[float] = []
    emulated = report is not None and bool(report.emulated)
    evaluate = DeviceState.kernel.time_evaluator(
        DeviceState.kernel.entry_name,
        session.cpu,
        number=1,
        repeat=1 if emulated else STEP,
        f_preproc=server_names.PREPARE_CACHES if report is not None else "",
        cache_flush_bytes=run.evict_bytes if report is None else 0,
    )
    # Emulated times mean nothing, however many there are.
    while len(costs) < (EMULATED_REPEATS if emulated else MOST):
        costs += evaluate(*DeviceState.buffers).results
        if sum(costs) > run.budget or enough(costs, run.best):
            break
    return Timed(costs=middle(costs))


_STEPS = {"load": _load, "call": _call, "check": _check, "time": _time}


def _send_inputs(
    session: Connection, reference: str | None, arguments: tuple[Argument, ...]
) -> tuple[list[Any], Array | None]:
    arrays, expected = arrays_of(reference, arguments)
    return [tvm.nd.array(array, session.cpu) for array in arrays], expected


def _alive() -> bool:
    """Whether the session still answers: then the kernel was at fault."""
    if DeviceState.session is None:
        return False
    try:
        DeviceState.session.call(
            lambda: DeviceState.session and DeviceState.session.remote.listdir("."), seconds=10.0
        )
    except UserError:
        return False
    return True


def _disconnect() -> None:
    session, DeviceState.session = DeviceState.session, None
    DeviceState.inputs, DeviceState.buffers, DeviceState.kernel = None, [], None
    if session is not None:
        session.close()


os.environ.setdefault("TVM_NUM_THREADS", "1")  # nothing is computed in this process
