# SPDX-License-Identifier: Apache-2.0
"""What times the layers of a whole network while it runs: this machine, or a device.

Takes an artifact and a number of runs; gives for each run the seconds of each kernel, in the order of
`layers.layers_of`. Several networks may be timed in turns.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mnc.compile.artifact.store import Artifact
from mnc.compile.records.trial import IN_NETWORK
from mnc.compile.runtime import verify
from mnc.compile.runtime.layer_profile import layer_timer
from mnc.compile.runtime.layers import Layer, layers_of
from mnc.compile.runtime.session import Array, Session, default_input
from mnc.support.errors import UserError
from mnc.targets import Target, load

if TYPE_CHECKING:
    from mnc.compile.rpc.address import Address


class LayerClock(Protocol):
    """`turn` is how many runs of a network at once suit it; `threads` what kernels run on."""

    turn: int
    threads: int

    def open(self, made: Artifact) -> list[Layer]:
        """The network's kernels, once its outputs were found right; UserError when they are not."""
        ...

    def time(self, made: Artifact, runs: int) -> list[list[float]]:
        """Seconds of each kernel in each of `runs` inferences."""
        ...

    def describe(self) -> str:
        """As a measurer describes itself in the log."""
        ...


class LocalClock:
    """This machine. A single thread keeps to the last processor, as when kernels are measured alone."""

    turn = 3

    def __init__(self, target: Target, *, threads: int) -> None:
        self._target, self.threads = target, threads
        self._timers: dict[Path, Callable[[], list[float]]] = {}

    def open(self, made: Artifact) -> list[Layer]:
        """As LayerClock."""
        session = Session(made, threads=self.threads)
        check(session, made)
        self._timers[made.folder] = layer_timer(session)
        return layers_of(made)

    def time(self, made: Artifact, runs: int) -> list[list[float]]:
        """As LayerClock."""
        cpus = os.sched_getaffinity(0)
        if self.threads == 1:
            os.sched_setaffinity(0, {max(cpus)})
        try:
            return [self._timers[made.folder]() for _ in range(runs)]
        finally:
            os.sched_setaffinity(0, cpus)

    def describe(self) -> str:
        """As LayerClock."""
        return f"{IN_NETWORK} local-v1 cpu={self._target.model} threads={self.threads}"


class DeviceClock:
    """A device behind a tracker, asked for anew each turn: others may use it in between."""

    turn = 8

    def __init__(self, target: Target, address: "Address", *, threads: int) -> None:
        self._target, self._address, self.threads = target, address, threads

    def open(self, made: Artifact) -> list[Layer]:
        """As LayerClock."""
        from mnc.compile.runtime.remote_session import RemoteSession

        session = RemoteSession(made, self._address, threads=self.threads)
        try:
            check(session, made)
            return layers_of(made)
        finally:
            session.close()

    def time(self, made: Artifact, runs: int) -> list[list[float]]:
        """As LayerClock."""
        from mnc.compile.runtime.remote_session import RemoteSession
        from mnc.compile.runtime.remote_session import layer_timer as on_device

        session = RemoteSession(made, self._address, threads=self.threads)
        try:
            timer = on_device(session, *default_input(session))
            return [timer().seconds for _ in range(runs)]
        finally:
            session.close()

    def describe(self) -> str:
        """As LayerClock."""
        key = self._address.key
        return f"{IN_NETWORK} rpc key={key} cpu={self._target.model} threads={self.threads}"


def open_clock(target: Target, *, device: str | None, threads: int) -> LayerClock:
    """This machine's clock, or that of the device "rpc://host:port/key". UserError when `target` is another
    machine, or the device is emulated, so that its times mean nothing.
    """
    if device is None:
        if load("host").model != target.model:
            raise UserError(f"{target.name} is not this machine; name its device with --device")
        return LocalClock(target, threads=threads)
    from mnc.compile.rpc import connection
    from mnc.compile.rpc.address import parse

    address = parse(device, key=target.name)
    with connection.connect(address) as opened:
        report = opened.report
    if report is not None and report.emulated:
        raise UserError(f"{device} is emulated ({report.emulated})")
    return DeviceClock(target, address, threads=threads)


def check(session: Session, made: Artifact) -> None:
    """UserError unless the network gives what PyTorch gave when it was built."""
    golden = made.golden()
    wanted: Sequence[tuple[Array, ...]]
    wanted = [tuple(array[i] for array in golden.outputs) for i in range(golden.count)]
    found = [session.run(*(array[i] for array in golden.inputs)) for i in range(golden.count)]
    compared = verify.compare("golden outputs", wanted, found)
    if not compared.ok:
        raise UserError(f"its outputs are off by {compared.max_relative:.1e} of the largest logit")
