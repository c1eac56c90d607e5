# SPDX-License-Identifier: Apache-2.0
"""A device over RPC, behind a tracker that others may ask for it too: held only while it is needed."""

from functools import partial
from typing import TYPE_CHECKING

from mnc.compile.device.device import (
    OURS,
    BenchReport,
    Device,
    LayerTimer,
    NetworkTimer,
    RivalsOf,
)
from mnc.compile.device.options import DeviceOptions
from mnc.compile.records.trial import EMULATED, IN_NETWORK
from mnc.compile.rpc.address import Address
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.support.progress import working
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.artifact.store import Artifact
    from mnc.compile.machine.roofs import Roof
    from mnc.compile.measure.measurer import Measurer
    from mnc.compile.runtime.layer_profile import Profile
    from mnc.compile.runtime.remote_session import RemoteSession


class RpcDevice(Device):
    """Any free device of the address's key. UserError, naming the cause, when none can be had."""

    def __init__(self, target: Target | str, address: Address, options: DeviceOptions) -> None:
        super().__init__(target, options)
        self.address = address

    def measurer(self, *, precision: Precision = "float32") -> "Measurer":
        """As Device. UserError also for an emulated one, unless that was allowed."""
        from mnc.compile.measure.options import RpcOptions
        from mnc.compile.measure.rpc import RpcMeasurer

        options = RpcOptions(
            threads=self.kernel_threads,
            cores=self.options.cores,
            allow_emulated=self.options.allow_emulated,
        )
        return RpcMeasurer(self.target, self.address, options=options)

    def layer_timer(self) -> LayerTimer:
        """As Device. UserError when it is emulated, so that its times mean nothing."""
        if emulated := self._emulated():
            raise UserError(f"{self.options.address} is emulated ({emulated})")
        return RpcLayerTimer(self.target, self.address, threads=self.kernel_threads)

    def network_timer(self, *, seconds: float, precision: Precision = "float32") -> NetworkTimer:
        """As Device."""
        mark = f"{EMULATED} " if self._emulated() else ""
        name = f"{mark}rpc key={self.address.key} cpu={self.target.model}"
        return NetworkTimer(name, partial(self._median, seconds=seconds))

    def session(self, artifact: "Artifact") -> "RemoteSession":
        """As Device."""
        from mnc.compile.runtime.remote_session import RemoteSession

        threads, cores = self.options.threads, self.options.cores
        return RemoteSession(artifact, self.address, threads=threads, cores=cores)

    def bench(
        self, artifact: "Artifact", *, seconds: float, rivals: RivalsOf | None = None
    ) -> BenchReport:
        """As Device, by the device's own clock; rivals do not run there."""
        from mnc.compile.runtime import remote_session
        from mnc.compile.runtime.session import default_input

        session = self.session(artifact)
        try:
            made = remote_session.bench(session, *default_input(session), seconds=seconds)
        finally:
            session.close()
        return BenchReport(
            {OURS: made.latency},
            note=made.note,
            device=str(session.device),
            upload=made.upload,
            load=made.load,
        )

    def profile(self, artifact: "Artifact", *, runs: int) -> "Profile":
        """As Device."""
        from mnc.compile.runtime import remote_session
        from mnc.compile.runtime.session import default_input

        session = self.session(artifact)
        try:
            peak = self.peak_gflops(session.threads, dtype=artifact.manifest.dtype)
            inputs = default_input(session)
            with working(f"timing the layers of {artifact.manifest.network.name}"):
                return remote_session.profile(session, *inputs, runs=runs, peak_gflops=peak)
        finally:
            session.close()

    def roof(self, threads: int) -> "Roof | None":
        """From the target's file: nothing is measured over there."""
        from mnc.compile.machine.roofs import of_target

        return of_target(self.target, threads=threads)

    def _emulated(self) -> str:
        """What emulates it; empty for a real one, and where it cannot say."""
        from mnc.compile.rpc import connection

        with connection.connect(self.address) as opened:
            return opened.report.emulated if opened.report is not None else ""


class RpcLayerTimer:
    """`LayerTimer` on a device, asked for anew each turn: others may use it in between."""

    turn = 8

    def __init__(self, target: Target, address: Address, *, threads: int) -> None:
        self._target, self._address, self.threads = target, address, threads

    def open(self, made: "Artifact") -> None:
        """As LayerTimer."""
        from mnc.compile.runtime.remote_session import RemoteSession
        from mnc.compile.runtime.verify import check_golden

        session = RemoteSession(made, self._address, threads=self.threads)
        try:
            check_golden(made, session)
        finally:
            session.close()

    def time(self, made: "Artifact", runs: int) -> list[list[float]]:
        """As LayerTimer."""
        from mnc.compile.runtime.remote_session import RemoteSession, layer_timer
        from mnc.compile.runtime.session import default_input

        session = RemoteSession(made, self._address, threads=self.threads)
        try:
            timer = layer_timer(session, *default_input(session))
            return [timer().seconds for _ in range(runs)]
        finally:
            session.close()

    def describe(self) -> str:
        """As LayerTimer."""
        key = self._address.key
        return f"{IN_NETWORK} rpc key={key} cpu={self._target.model} threads={self.threads}"
