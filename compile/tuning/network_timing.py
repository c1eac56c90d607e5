# SPDX-License-Identifier: Apache-2.0
"""What tells how long a whole network takes: this machine, a device, or the core model.

Takes a model, a target and where costs come from; gives a function from a built network to seconds of one
inference, and the name of what it asks, for the record.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mnc.compile.measure.factory import How, kind
from mnc.compile.tuning.families import Timer
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.artifact.store import Artifact
    from mnc.compile.codegen.network import Built

Run = Callable[["Artifact"], float]


def timer(model: Any, target: Target, how: How, *, seconds: float) -> tuple[Timer, str]:
    """The timer, and its name. It times for `seconds`, where time passes. UserError as `choice.kind`."""
    found = kind(target, how)
    if found == "simulated":
        return _simulated(target, how.threads or target.fast.count)
    if found == "here":
        run, name = _here(target, how.threads, seconds)
    else:
        assert how.device is not None
        run, name = _there(target, how.device, how.threads, seconds)

    def timed(built: "Built") -> float:
        from mnc.compile.artifact import writer

        with TemporaryDirectory(prefix="mnc-family-") as folder:
            return run(writer.save(built, model, target, Path(folder) / "made"))

    return timed, name


def _here(target: Target, threads: int | None, seconds: float) -> tuple[Run, str]:
    from mnc.compile.runtime import benchmark
    from mnc.compile.runtime import session as runner

    def timed(made: "Artifact") -> float:
        session = runner.Session(made, threads=threads)
        inputs = runner.default_input(session)
        return benchmark.bench(session, *inputs, seconds=seconds)["mnc"].median

    return timed, f"local cpu={target.model}"


def _there(target: Target, device: str, threads: int | None, seconds: float) -> tuple[Run, str]:
    from mnc.compile.rpc import connection
    from mnc.compile.rpc.address import parse
    from mnc.compile.runtime import session as runner
    from mnc.compile.runtime.remote_session import RemoteSession, bench

    address = parse(device, key=target.name)
    with connection.connect(address) as opened:
        report = opened.report
    emulated = "emulated " if report is not None and report.emulated else ""

    def timed(made: "Artifact") -> float:
        session = RemoteSession(made, address, threads=threads)
        try:
            return bench(session, *runner.default_input(session), seconds=seconds).latency.median
        finally:
            session.close()

    return timed, f"{emulated}rpc key={address.key} cpu={target.model}"


def _simulated(target: Target, threads: int) -> tuple[Timer, str]:
    from mnc.compile.measure.simulated import describe
    from mnc.compile.simulator.network import seconds_of

    def worked_out(built: "Built") -> float:
        from mnc.compile.codegen import kernel_object

        with TemporaryDirectory(prefix="mnc-family-") as folder:
            kernel_object.write(built.factory, Path(folder), keys=built.keys)
            return seconds_of(Path(folder), target, threads=threads)

    return worked_out, describe(target, threads=threads)
