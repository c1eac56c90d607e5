# SPDX-License-Identifier: Apache-2.0
"""What each kind of device gives, and what a core model refuses."""

from collections.abc import Callable

import pytest

from mnc.compile.artifact.store import Artifact
from mnc.compile.device.device import OURS, Device
from mnc.compile.device.local import LocalDevice
from mnc.compile.device.options import DeviceOptions
from mnc.compile.device.simulated import SimulatedDevice
from mnc.compile.measure.simulated import describe
from mnc.compile.runtime.layers import layers_of
from mnc.compile.runtime.session import Session
from mnc.support.errors import UserError
from mnc.targets import Target, load

HERE = LocalDevice("host", DeviceOptions(threads=1))


@pytest.fixture(scope="module")
def board() -> Target:
    return load("rk3399")


@pytest.fixture(scope="module")
def modelled(board: Target) -> SimulatedDevice:
    return SimulatedDevice(board, DeviceOptions())


def test_here_a_session_runs_and_is_timed_and_profiled(tiny_artifact: Artifact) -> None:
    seen: list[Session] = []

    def rivals(session: Session) -> dict[str, Callable[[], object]]:
        seen.append(session)
        return {"rival": lambda: None}

    report = HERE.bench(tiny_artifact, seconds=0.1, rivals=rivals)
    assert list(report.latencies) == [OURS, "rival"] and seen[0].threads == 1
    assert 0 < report.latencies["rival"].median < report.latencies[OURS].median
    made = HERE.profile(tiny_artifact, runs=2)
    assert made.threads == 1 and made.layers and all(layer.seconds > 0 for layer in made.layers)
    peak = HERE.peak_gflops(1)
    assert peak is not None and {layer.peak_gflops for layer in made.layers} == {peak}


def test_here_layers_are_timed_once_the_network_was_found_right(tiny_artifact: Artifact) -> None:
    timer = HERE.layer_timer()
    timer.open(tiny_artifact)
    layers, runs = layers_of(tiny_artifact), timer.time(tiny_artifact, 3)
    assert len(runs) == 3 and all(len(run) == len(layers) for run in runs)
    assert timer.describe() == f"in-network local-v1 cpu={load('host').model} threads=1"


def test_a_core_model_prices_kernels_and_networks_on_every_fast_core(
    modelled: SimulatedDevice, board: Target
) -> None:
    assert modelled.kernel_threads == 2 and not modelled.times_layers
    with modelled.measurer() as measurer:
        assert measurer.describe() == describe(board, threads=2)
        assert measurer.batch >= 16
    integers = describe(board, threads=2, precision="int8")
    assert modelled.network_timer(seconds=1.0, precision="int8").name == integers
    assert modelled.network_timer(seconds=1.0).name == describe(board, threads=2)
    assert modelled.peak_gflops(2) == board.fast.peak_gflops(2)


@pytest.mark.parametrize(
    "ask",
    [
        lambda device, made: device.layer_timer(),
        lambda device, made: device.session(made),
        lambda device, made: device.bench(made, seconds=1.0),
        lambda device, made: device.profile(made, runs=1),
    ],
)
def test_a_core_model_runs_nothing(
    ask: Callable[[Device, Artifact], object], modelled: SimulatedDevice, tiny_artifact: Artifact
) -> None:
    with pytest.raises(UserError, match="rk3399 is not this machine; name its device"):
        ask(modelled, tiny_artifact)
