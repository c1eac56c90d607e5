# SPDX-License-Identifier: Apache-2.0
"""A device that is not there: a model of its cores prices kernels and networks, and runs nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from mnc.compile.device.device import BenchReport, Device, LayerTimer, NetworkTimer, RivalsOf
from mnc.compile.device.options import DeviceOptions
from mnc.compile.measure.simulated import check_simulable, describe
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.artifact.store import Artifact
    from mnc.compile.codegen.network import Built
    from mnc.compile.machine.roofs import Roof
    from mnc.compile.measure.measurer import Measurer
    from mnc.compile.measure.simulated import Engine
    from mnc.compile.runtime.layer_profile import Profile
    from mnc.compile.runtime.session import Session
    from mnc.model.zoo import Model


class SimulatedDevice(Device):
    """The core model of a target. UserError, saying why, when it has none, or fewer cores than threads."""

    times_layers = False

    def __init__(self, target: Target, options: DeviceOptions) -> None:
        super().__init__(target, options)
        check_simulable(target, threads=self.kernel_threads)
        self.note = self._note()

    @property
    def kernel_threads(self) -> int:
        """As Device: one for each fast core, unless said."""
        return self.options.threads or self.target.fast.count

    def measurer(self, *, precision: Precision = "float32") -> "Measurer":
        """As Device, by processes here or on the machines that have joined a tracker."""
        from mnc.compile.measure.options import SimulationOptions
        from mnc.compile.measure.simulated import SimulatedMeasurer

        options = SimulationOptions(
            threads=self.options.threads, workers=self.options.workers, precision=precision
        )
        engine = self._fleet()
        try:
            return SimulatedMeasurer(self.target, options=options, engine=engine)
        except BaseException:
            if engine is not None:
                engine.close()
            raise

    def layer_timer(self) -> LayerTimer:
        """Refused: a model prices kernels alone."""
        self._refuse()

    def network_timer(self, *, seconds: float, precision: Precision = "float32") -> NetworkTimer:
        """As Device: the sum of the network's kernels."""
        name = describe(self.target, threads=self.kernel_threads, precision=precision)
        return NetworkTimer(name, self._priced)

    def session(self, artifact: "Artifact") -> "Session":
        """Refused: nothing runs on a model."""
        self._refuse()

    def bench(
        self, artifact: "Artifact", *, seconds: float, rivals: RivalsOf | None = None
    ) -> BenchReport:
        """Refused: nothing runs on a model."""
        self._refuse()

    def profile(self, artifact: "Artifact", *, runs: int) -> "Profile":
        """Refused: nothing runs on a model."""
        self._refuse()

    def roof(self, threads: int) -> "Roof | None":
        """From the target's file."""
        from mnc.compile.machine.roofs import of_target

        return of_target(self.target, threads=threads)

    def _priced(self, built: "Built", model: "Model") -> float:
        from mnc.compile.codegen import kernel_object
        from mnc.compile.simulator.network import seconds_of

        with TemporaryDirectory(prefix="mnc-family-") as folder:
            kernel_object.write(built.factory, Path(folder), keys=built.keys)
            return seconds_of(Path(folder), self.target, threads=self.kernel_threads)

    def _fleet(self) -> "Engine | None":
        """The machines that have joined the tracker; None: processes here."""
        if self.options.tracker is None:
            return None
        from mnc.compile.measure.fleet.client import Fleet
        from mnc.compile.rpc.address import parse_tracker

        return Fleet(parse_tracker(self.options.tracker), self.target)

    def _refuse(self) -> NoReturn:
        raise UserError(f"{self.target.name} is not this machine; name its device with --device")

    def _note(self) -> str:
        """By what costs are simulated, what that is worth, how to have real ones."""
        core, name = self.target.fast, self.target.name
        clock = f" at {core.clock_ghz:g} GHz" if core.clock_ghz else ""
        return (
            f"no device: costs are simulated, by the model of {self.kernel_threads}x {core.cpu}{clock} of "
            f"{name} (docs/simulator.md says how near it comes to real boards); to measure on a real one: "
            f"--device rpc://HOST:PORT/{name}"
        )
