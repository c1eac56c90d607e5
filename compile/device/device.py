# SPDX-License-Identifier: Apache-2.0
"""What a device can be asked for, whatever it is: costs of kernels, times of networks, a session, its peak.

Takes a target and `DeviceOptions`; `opening` chooses which of the implementations they mean. What one of
them cannot do is a UserError that says what can.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from mnc.compile.device.options import DeviceOptions
from mnc.model.names import Precision
from mnc.targets import Target, load

if TYPE_CHECKING:
    from mnc.compile.artifact.store import Artifact
    from mnc.compile.codegen.network import Built
    from mnc.compile.machine.roofs import Roof
    from mnc.compile.measure.measurer import Measurer
    from mnc.compile.runtime.layer_profile import Profile
    from mnc.compile.runtime.session import Session
    from mnc.model.zoo import Model
    from mnc.support.latency import Latency

OURS = "mnc"  # among the runtimes that are timed in turns
# What takes turns with a session while it is timed, by name.
RivalsOf = Callable[["Session"], Mapping[str, Callable[[], object]]]


@dataclass(frozen=True)
class BenchReport:
    """Times of one inference by runtime, OURS first. `device` names one over RPC, with the seconds that
    `upload` and `load` took; `note` is what to know of the circumstances.
    """

    latencies: "Mapping[str, Latency]"
    note: str = ""
    device: str = ""
    upload: float | None = None
    load: float | None = None


@dataclass(frozen=True)
class NetworkTimer:
    """`seconds_of` a built network gives the median of one inference; `name` is for the record."""

    name: str
    seconds_of: "Callable[[Built, Model], float]"


class LayerTimer(Protocol):
    """Times the layers of whole networks while they run; several networks may take turns.

    `turn` is how many runs of a network at once suit it; `threads` what kernels run on.
    """

    turn: int
    threads: int

    def open(self, made: "Artifact") -> None:
        """Load a network that will be timed; UserError when its outputs are not right."""
        ...

    def time(self, made: "Artifact", runs: int) -> list[list[float]]:
        """Seconds of each kernel in each of `runs` inferences, in the order of `layers.layers_of`."""
        ...

    def describe(self) -> str:
        """As a measurer describes itself in the log."""
        ...


class Device(ABC):
    """Where kernels and networks for one target run, or are priced.

    `target` may be named only: its file is read when first needed, for an artifact runs without it.
    `note` is a line to say before costs come from it, None where nothing need be said. Where `times_layers`
    is false, `layer_timer` is refused. Where `times_families`, a tune ends with timing whole families of
    kernels; elsewhere that is left to `mnc family`.
    """

    note: str | None = None
    times_layers: bool = True
    times_families: bool = True

    def __init__(self, target: Target | str, options: DeviceOptions) -> None:
        self._target, self.options = target, options

    @cached_property
    def target(self) -> Target:
        """What its code is compiled for. UserError when there is no such target any more."""
        return load(self._target) if isinstance(self._target, str) else self._target

    @property
    def kernel_threads(self) -> int:
        """Threads that a kernel is timed on."""
        return self.options.threads or 1

    @abstractmethod
    def measurer(self, *, precision: Precision = "float32") -> "Measurer":
        """What puts costs on configurations, of a network in `precision`. Use as a context manager."""

    @abstractmethod
    def layer_timer(self) -> LayerTimer:
        """What times the layers of whole networks."""

    @abstractmethod
    def network_timer(self, *, seconds: float, precision: Precision = "float32") -> NetworkTimer:
        """What times whole networks in `precision`, for `seconds` each where time passes."""

    @abstractmethod
    def session(self, artifact: "Artifact") -> "Session":
        """The artifact, loaded."""

    @abstractmethod
    def bench(
        self, artifact: "Artifact", *, seconds: float, rivals: RivalsOf | None = None
    ) -> BenchReport:
        """Time one inference for `seconds`, in turns with `rivals` where they run on the same machine."""

    @abstractmethod
    def profile(self, artifact: "Artifact", *, runs: int) -> "Profile":
        """Time each layer within `runs` inferences."""

    @abstractmethod
    def roof(self, threads: int) -> "Roof | None":
        """What `threads` of its cores can do at most; None where too little is known."""

    def peak_gflops(self, threads: int, *, dtype: str = "float32") -> float | None:
        """What `threads` of its cores can multiply and add at most in a network of `dtype`; None where it is
        not known.
        """
        from mnc.compile.machine.roofs import in_precision

        roof = self.roof(threads)
        return None if roof is None else in_precision(roof, self.target, dtype).gflops

    def _median(self, built: "Built", model: "Model", *, seconds: float) -> float:
        """Seconds of one inference of a built network that is run here for once."""
        from mnc.compile.artifact import writer

        with TemporaryDirectory(prefix="mnc-family-") as folder:
            made = writer.save(built, model, self.target, Path(folder) / "made")
            return self.bench(made, seconds=seconds).latencies[OURS].median
