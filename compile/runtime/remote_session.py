# SPDX-License-Identifier: Apache-2.0
"""Runs an artifact on a device over RPC: the same answers as `session`, and times taken over there.

Takes an `Artifact` and a device's address or `Connection`; gives a `RemoteSession`, which `parity.verify`
takes too, and a `DeviceBench`. Upload time is kept apart from run time, which the device's clock tells.
"""

import atexit
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from mnc.compile.artifact.store import Artifact
from mnc.compile.rpc.address import Address, Cores, parse
from mnc.compile.rpc.connection import Connection, DeviceReport, architecture, connect
from mnc.compile.runtime.layer_profile import Profile
from mnc.compile.runtime.layers import layers_of
from mnc.compile.runtime.session import Array, Session, check_signature
from mnc.compile.runtime.widening import widen
from mnc.compile.toolchain.cpu_features import FEATURES
from mnc.compile.toolchain.elf import read_library
from mnc.compile.toolchain.graph import RESHAPE
from mnc.support.errors import UserError
from mnc.support.latency import Latency

WARM_UP = 3
UPLOAD_SECONDS = 600.0  # a slow network is no failure


@dataclass(frozen=True)
class DeviceBench:
    """Times of the network on the device, upload and loading apart, both in seconds.

    `before` and `after` are the device's reports around the runs, None where it gives none.
    """

    latency: Latency
    upload: float
    load: float
    before: DeviceReport | None
    after: DeviceReport | None

    @property
    def note(self) -> str:
        """What to know of the circumstances: emulation, temperature, clock."""
        if self.before is None or self.after is None:
            return "temperature and clock are not exposed by TVM's stock server"
        if self.before.emulated:
            return f"emulated ({self.before.emulated}): these times say nothing about a real core"
        note = f"{self.before.climate} before, {self.after.climate} after"
        slowed = (
            self.after.mhz
            and self.after.max_mhz
            and max(self.after.mhz) < 0.9 * max(self.after.max_mhz)
        )
        return f"{note}; the clock is below its maximum, perhaps throttled" if slowed else note


class RemoteSession(Session):
    """A `Session` on a device. `upload_seconds` and `load_seconds` are of its making.

    A connection that is opened here is closed with the process, or by `close`. `threads` (None: all of the
    class) and `cores` are set on the device. UserError when the library is for
    another architecture or CPU than the device, before anything is sent.
    """

    def __init__(
        self,
        artifact: Artifact,
        device: str | Address | Connection,
        *,
        threads: int | None = None,
        cores: Cores = "big",
    ) -> None:
        self.artifact = artifact
        self.manifest, self.labels = artifact.manifest, artifact.labels
        ours = not isinstance(device, Connection)
        self.device = device if isinstance(device, Connection) else _connect(device, artifact)
        try:
            self._set_up(artifact, threads, cores)
        except BaseException:
            if ours:
                self.device.close()
            raise

    def _set_up(self, artifact: Artifact, threads: int | None, cores: Cores) -> None:
        device = self.device
        check_device(artifact, device)
        device.pool_threads(threads)
        self.known_threads = device.use_threads(threads, cores=cores)
        self.threads = self.known_threads or 0
        self._lock = threading.Lock()
        name = artifact.library.name
        started = time.monotonic()
        device.call(lambda: device.remote.upload(str(artifact.library)), seconds=UPLOAD_SECONDS)
        self.upload_seconds = time.monotonic() - started
        self.factory = device.call(lambda: device.remote.load_module(name))
        self._graph = device.call(self._create_graph)
        device.call(lambda: check_signature(self._graph, artifact))
        device.call(lambda: self._widen(artifact))
        self._buffers = [
            device.call(_input_of(self._graph, tensor.name)) for tensor in self.manifest.inputs
        ]
        self.load_seconds = time.monotonic() - started - self.upload_seconds
        device.on_close(self._release)

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The network's outputs for `inputs`, of exactly the signature's shapes and types."""
        self.check_inputs(inputs)
        with self._lock:
            return self.device.call(lambda: self._run(inputs))

    def time(self, *inputs: Array, repeats: int) -> tuple[float, ...]:
        """Seconds of each of `repeats` runs by the device's clock, after WARM_UP others."""
        self.check_inputs(inputs)
        with self._lock:
            self.device.call(lambda: _fill(self._buffers, inputs))
            self.device.call(lambda: self._timed(WARM_UP))
            return tuple(self.device.call(lambda: self._timed(1)) for _ in range(repeats))

    def _timed(self, repeat: int) -> float:
        evaluate = self._graph.time_evaluator("run", self.device.cpu, number=1, repeat=repeat)
        return float(evaluate().results[-1])

    def _create_graph(self) -> Any:
        return self.factory["default"](self.device.cpu)

    def _widen(self, artifact: Artifact) -> None:
        import tvm

        widen(self._graph, artifact, lambda array: tvm.nd.array(array, self.device.cpu))

    def close(self) -> None:
        """Give the device back."""
        self.device.close()

    def _release(self) -> None:
        """Free what is held on the device while it can still be told."""
        self._buffers, self._graph, self.factory = [], None, None

    def _run(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        _fill(self._buffers, inputs)
        self._graph["run"]()
        outputs = [self._graph["get_output"](i) for i in range(len(self.manifest.outputs))]
        return tuple(output.numpy() for output in outputs)


class Profiled(msgspec.Struct, frozen=True):
    """The part of a TVM profiler's report that is needed here."""

    calls: list[dict[str, dict[str, Any]]]
    configuration: dict[str, dict[str, Any]]

    @property
    def threads(self) -> int:
        """That the device's pool had."""
        return int(self.configuration["Number of threads"]["count"])

    @property
    def seconds(self) -> list[float]:
        """Of each kernel; a reshape calls none."""
        return [
            float(call["Duration (us)"]["microseconds"]) * 1e-6
            for call in self.calls
            if not str(call["Name"]["string"]).startswith(RESHAPE)
        ]


def bench(
    session: RemoteSession, *inputs: Array, seconds: float = 10.0, least: int = 10, most: int = 200
) -> DeviceBench:
    """Time the network on the device for `seconds`, at least `least` and at most `most` runs."""
    before = session.device.ask()
    times = session.time(*inputs, repeats=1)
    wanted = int(min(most, max(least, seconds / max(times[0], 1e-6))))
    times = session.time(*inputs, repeats=wanted)
    return DeviceBench(
        latency=Latency(times, threads=session.known_threads),
        upload=session.upload_seconds,
        load=session.load_seconds,
        before=before,
        after=session.device.ask(),
    )


def profile(
    session: RemoteSession, *inputs: Array, runs: int = 10, peak_gflops: float | None = None
) -> Profile:
    """`mnc.compile.runtime.layer_profile.profile`, on the device."""
    kernels = layers_of(session.artifact)
    timer = layer_timer(session, *inputs)
    reports = [timer() for _ in range(runs)]
    times = [report.seconds for report in reports]
    if any(len(one) != len(kernels) for one in times):
        raise RuntimeError("the profiler timed other kernels than the graph lists")
    columns = zip(kernels, zip(*times, strict=True), strict=True)
    layers = [
        replace(layer, seconds=statistics.median(column), peak_gflops=peak_gflops)
        for layer, column in columns
    ]
    return Profile(layers=tuple(layers), threads=reports[0].threads)


def layer_timer(session: RemoteSession, *inputs: Array) -> Callable[[], "Profiled"]:
    """A function that runs one inference on the device, after three that warm up, and gives its profile."""
    session.check_inputs(inputs)
    device = session.device
    executor = device.call(lambda: session.factory["debug_create"]("default", device.cpu))
    buffers = [device.call(_input_of(executor, tensor.name)) for tensor in session.manifest.inputs]
    device.call(lambda: _fill(buffers, inputs))

    def run() -> Profiled:
        text = device.call(lambda: str(executor["profile_rpc"]()))
        return msgspec.json.decode(text, type=Profiled)

    return run


def check_device(artifact: Artifact, device: Connection) -> None:
    """UserError unless the library is what its manifest says and the device can run it."""
    wanted = artifact.manifest.target
    found = read_library(artifact.library).arch
    if found != wanted.arch:
        raise UserError(
            f"{artifact.library} is for {found}, its manifest says {wanted.arch}; build it again with "
            f"`mnc build --target {wanted.name}`"
        )
    report = device.report
    if report is None:
        return
    arch = architecture(report)
    if arch != wanted.arch:
        raise UserError(
            f"{artifact.folder} is for {wanted.arch} ({wanted.name}) and {device} is {arch}; build it for a "
            "target of that architecture, or choose another device"
        )
    names = FEATURES.get(arch, {})
    lacking = [one for one in wanted.features if names.get(one) not in report.features]
    if report.features and lacking:
        raise UserError(
            f"{artifact.folder} is for {wanted.description} and {device} lacks {', '.join(lacking)}; build "
            "it for a target like the device"
        )


def _connect(device: str | Address, artifact: Artifact) -> Connection:
    address = (
        parse(device, key=artifact.manifest.target.name) if isinstance(device, str) else device
    )
    opened = connect(address)
    atexit.register(opened.close)
    return opened


def _input_of(executor: Any, name: str) -> Callable[[], Any]:
    return lambda: executor["get_input"](name)


def _fill(buffers: Sequence[Any], inputs: Sequence[Array]) -> None:
    for buffer, array in zip(buffers, inputs, strict=True):
        buffer.copyfrom(np.ascontiguousarray(array))
