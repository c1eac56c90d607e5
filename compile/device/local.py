# SPDX-License-Identifier: Apache-2.0
"""This machine as a device: its cores time kernels, layers and networks, and run artifacts."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.device.device import BenchReport, Device, LayerTimer, NetworkTimer, RivalsOf
from mnc.compile.records.trial import IN_NETWORK
from mnc.model.names import Precision
from mnc.support.progress import working
from mnc.targets import Target
from mnc.targets.core_classes import timing_cpus

if TYPE_CHECKING:
    from mnc.compile.artifact.store import Artifact
    from mnc.compile.machine.roofs import Roof
    from mnc.compile.measure.measurer import Measurer
    from mnc.compile.runtime.layer_profile import Profile
    from mnc.compile.runtime.session import Session


class LocalDevice(Device):
    """This machine. UserError, when it is asked for something, where the target is another one."""

    times_families = False

    def measurer(self, *, precision: Precision = "float32") -> "Measurer":
        """As Device."""
        from mnc.compile.measure.local import LocalMeasurer
        from mnc.compile.measure.options import LocalOptions

        return LocalMeasurer(self.target, options=LocalOptions(threads=self.kernel_threads))

    def layer_timer(self) -> LayerTimer:
        """As Device."""
        return LocalLayerTimer(self.target, threads=self.kernel_threads)

    def network_timer(self, *, seconds: float, precision: Precision = "float32") -> NetworkTimer:
        """As Device."""
        return NetworkTimer(
            f"local cpu={self.target.model}", partial(self._median, seconds=seconds)
        )

    def session(self, artifact: "Artifact") -> "Session":
        """As Device."""
        from mnc.compile.runtime.local_session import open_local

        return open_local(artifact, threads=self.options.threads)

    def bench(
        self, artifact: "Artifact", *, seconds: float, rivals: RivalsOf | None = None
    ) -> BenchReport:
        """As Device."""
        from mnc.compile.runtime import benchmark
        from mnc.compile.runtime.session import default_input

        session = self.session(artifact)
        calls = rivals(session) if rivals is not None else {}
        inputs = default_input(session)
        with working(f"timing {artifact.manifest.network.name} for {seconds:g} s each"):
            found = benchmark.bench(session, *inputs, seconds=seconds, rivals=calls)
        return BenchReport(found)

    def profile(self, artifact: "Artifact", *, runs: int) -> "Profile":
        """As Device."""
        from mnc.compile.runtime.layer_profile import profile
        from mnc.compile.runtime.session import Session

        session = Session(artifact, threads=self.options.threads)
        peak = self.peak_gflops(session.threads, dtype=artifact.manifest.dtype)
        with working(f"timing the layers of {artifact.manifest.network.name}"):
            return profile(session, runs=runs, peak_gflops=peak)

    def roof(self, threads: int) -> "Roof | None":
        """As measured, which is done once."""
        from mnc.compile.machine.roofs import measured_here

        with working("measuring this machine's peak"):
            return measured_here(self.target, threads)


class LocalLayerTimer:
    """`LayerTimer` here. It keeps to the CPUs that kernels are measured alone on."""

    turn = 5

    def __init__(self, target: Target, *, threads: int) -> None:
        self._target, self.threads = target, threads
        self._timers: dict[Path, Callable[[int], list[list[float]]]] = {}

    def open(self, made: "Artifact") -> None:
        """As LayerTimer."""
        from mnc.compile.runtime.layer_profile import layer_timer
        from mnc.compile.runtime.session import Session
        from mnc.compile.runtime.verify import check_golden

        session = Session(made, threads=self.threads)
        check_golden(made, session)
        self._timers[made.folder] = layer_timer(session)

    def time(self, made: "Artifact", runs: int) -> list[list[float]]:
        """As LayerTimer."""
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, timing_cpus(self.threads))
        try:
            return self._timers[made.folder](runs)
        finally:
            os.sched_setaffinity(0, cpus)

    def describe(self) -> str:
        """As LayerTimer."""
        return f"{IN_NETWORK} local-v1 cpu={self._target.model} threads={self.threads}"
