# SPDX-License-Identifier: Apache-2.0
"""Checks the whole chain from compiler to device, and says what to mend.

Takes a `Target` and perhaps a device's address; gives a `Diagnosis` for each link, in the order of the chain.
A link that cannot be tried because one before it is broken is left out.
"""

import importlib.metadata
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tvm
from tvm import te

from mnc.compile.rpc import connection, tracker
from mnc.compile.rpc.address import Address, warning
from mnc.compile.rpc.connection import Connection
from mnc.compile.toolchain import linker, pass_context
from mnc.compile.toolchain.cpu_features import FEATURES, machine_arch, required
from mnc.support.errors import UserError
from mnc.support.latency import Latency
from mnc.targets import Target

SIZE = 64  # of the tiny kernel: SIZE x SIZE matrices
REPEATS, STEADY = 20, 0.05
WAIT_SECONDS = 10.0


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain. `fix` says what to do where `ok` is False, or what to mind; else it is ""."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def examine(
    target: Target, *, device: Address | None = None, cc: str | None = None
) -> tuple[Diagnosis, ...]:
    """Diagnosis compiler and linker for `target`, and with `device` the tracker, a device and a tiny kernel's
    result on it. Without, the kernel runs here if it can.
    """
    with tempfile.TemporaryDirectory(prefix="mnc-doctor-") as folder:
        return tuple(_chain(target, device, cc, Path(folder) / "tiny.so"))


def _chain(
    target: Target, device: Address | None, cc: str | None, library: Path
) -> Iterator[Diagnosis]:
    built = _try("compiler", lambda: _compile(target, cc, library))
    yield built
    if device is None:
        if built.ok and target.arch == machine_arch():
            yield _try("result", lambda: _run_here(library))
        elif built.ok:
            yield Diagnosis(
                name="device",
                ok=True,
                detail=f"none named, and this machine is no {target.arch}: nothing was run",
                fix="name one with --device; `mnc device start` gives a virtual one",
            )
        return
    found = _try("tracker", lambda: _tracker(device))
    yield found
    if not found.ok:
        return
    try:
        with connection.connect(device, wait_seconds=WAIT_SECONDS, session_seconds=120.0) as opened:
            yield from _device(opened, target, library if built.ok else None)
    except UserError as error:
        yield Diagnosis(name="device", ok=False, detail="none could be used", fix=str(error))


def _device(opened: Connection, target: Target, library: Path | None) -> Iterator[Diagnosis]:
    report = opened.report
    if report is None:
        detail = f"{opened} answers; it runs TVM's stock server, which cannot say what it is"
        yield Diagnosis(
            name="device", ok=True, detail=detail, fix="`mnc device enroll` gives a server that can"
        )
    else:
        detail = (
            f"{opened}: {report.board}, {report.arch}, {report.cores} core(s), {report.climate}"
        )
        fix = (
            f"it is emulated ({report.emulated}): right results, no times"
            if report.emulated
            else ""
        )
        yield Diagnosis(name="device", ok=True, detail=detail, fix=fix)
        yield _versions(report.tvm)
        same = _same_machine(target, connection.architecture(report), report.features)
        yield same
        if not same.ok:
            return
    if library is None:
        return
    upload = _try("upload", lambda: _upload(opened, library))
    yield upload
    if not upload.ok:
        return
    result = _try("result", lambda: _run_there(opened, library.name))
    yield result
    if result.ok:
        yield _steady(opened, library.name, emulated=report is not None and bool(report.emulated))


def _compile(target: Target, cc: str | None, library: Path) -> str:
    a, b = (te.placeholder((SIZE, SIZE), name=name) for name in "ab")
    k = te.reduce_axis((0, SIZE), name="k")
    c = te.compute((SIZE, SIZE), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    schedule = te.create_schedule(c.op)
    schedule[c].vectorize(schedule[c].split(c.op.axis[1], factor=target.lanes)[1])
    with pass_context.pass_context():
        module = tvm.build(schedule, [a, b, c], target=target.tvm_target())
    linked = linker.link_library(module, library, target, cc=cc)
    glibc = (
        ""
        if linked.library.glibc is None
        else f", glibc {'.'.join(map(str, linked.library.glibc))}"
    )
    return f"{linked.compiler}: {linked.library.arch}{glibc}"


def _inputs() -> tuple[Any, Any, Any]:
    random = np.random.default_rng(0)
    a, b = (random.uniform(-1, 1, (SIZE, SIZE)).astype(np.float32) for _ in range(2))
    return a, b, a @ b


def _run_here(library: Path) -> str:
    return _multiply(tvm.runtime.load_module(str(library)), tvm.cpu(0))


def _run_there(opened: Connection, name: str) -> str:
    return opened.call(lambda: _multiply(opened.remote.load_module(name), opened.cpu), seconds=60.0)


def _multiply(module: Any, device: Any) -> str:
    a, b, right = _inputs()
    out = tvm.nd.array(np.zeros_like(right), device)
    module.entry_func(tvm.nd.array(a, device), tvm.nd.array(b, device), out)
    error = float(np.abs(out.numpy() - right).max())
    if not error <= 1e-4:
        raise UserError(
            f"a {SIZE}x{SIZE} matrix product is off by {error:.3g}; its CPU or memory is not sound"
        )
    return f"a {SIZE}x{SIZE} matrix product is right to {error:.1e}"


def _tracker(device: Address) -> str:
    known = tracker.summary(device.tracker)
    tracker.check_known(known, device.tracker, device.key)
    open_to = warning(device.host)
    free, count = known.free(device.key), known.count(device.key)
    note = "" if open_to is None else "; it is not on the loopback: keep it in a closed network"
    return f"{tracker.text(device.tracker)} has {count} {device.key}, {free} free{note}"


def _upload(opened: Connection, library: Path) -> str:
    opened.call(lambda: opened.remote.upload(str(library)), seconds=120.0)
    return f"{library.stat().st_size} bytes"


def _versions(theirs: str) -> Diagnosis:
    ours = tvm.__version__
    package = importlib.metadata.version("xtc-tvm-python-bindings")
    fix = "" if ours == theirs else f"on the device: pip install xtc-tvm-python-bindings=={package}"
    return Diagnosis(
        name="versions", ok=not fix, detail=f"TVM {ours} here, {theirs} there", fix=fix
    )


def _same_machine(target: Target, arch: str, features: tuple[str, ...]) -> Diagnosis:
    if arch != target.arch:
        fix = f"choose a target for {arch}, or another device"
        return Diagnosis(name="target", ok=False, detail=f"{target.name} is {target.arch}", fix=fix)
    names = FEATURES.get(arch, {})
    wanted = required(target.tvm_target(), arch)
    lacking = [one for one in wanted if features and names.get(one) not in features]
    fix = f"the device lacks {', '.join(lacking)}: choose a target like it" if lacking else ""
    unknown = "" if features else "; the device does not list its CPU's features"
    return Diagnosis(
        name="target", ok=not lacking, detail=f"{target.name}, {target.mcpu}{unknown}", fix=fix
    )


def _steady(opened: Connection, name: str, *, emulated: bool) -> Diagnosis:
    """Whether times of the same work agree: a clock that wanders makes tuning choose by luck."""
    try:
        times = opened.call(lambda: _times(opened, name), seconds=60.0)
    except UserError as error:
        return Diagnosis(name="clock", ok=False, detail="nothing could be timed", fix=str(error))
    spread = Latency(tuple(times)).spread
    detail = f"repeated times of one kernel spread by {spread:.1%} around {statistics.median(times):.2e} s"
    if emulated:
        return Diagnosis(name="clock", ok=True, detail=detail, fix="emulated: it means nothing")
    fix = (
        "fix the clock (governor performance), cool it, stop other programs"
        if spread > STEADY
        else ""
    )
    return Diagnosis(name="clock", ok=not fix, detail=detail, fix=fix)


def _times(opened: Connection, name: str) -> list[float]:
    module = opened.remote.load_module(name)
    a, b, right = (tvm.nd.array(array, opened.cpu) for array in _inputs())
    evaluate = module.time_evaluator(module.entry_name, opened.cpu, number=20, repeat=REPEATS)
    return [float(time) for time in evaluate(a, b, right).results[1:]]


def _try(name: str, action: Callable[[], str]) -> Diagnosis:
    try:
        return Diagnosis(name=name, ok=True, detail=action())
    except UserError as error:
        return Diagnosis(name=name, ok=False, detail="failed", fix=str(error))
