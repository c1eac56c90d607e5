# SPDX-License-Identifier: Apache-2.0
"""Which device is meant: this machine for its own target, one that is named, the core model for the rest."""

import subprocess
import sys

import pytest

from mnc.compile.cli import run
from mnc.compile.device.device import Device
from mnc.compile.device.local import LocalDevice
from mnc.compile.device.opening import open_device, open_runner
from mnc.compile.device.options import DeviceOptions
from mnc.compile.device.rpc import RpcDevice
from mnc.compile.device.simulated import SimulatedDevice
from mnc.support.errors import UserError
from mnc.targets import load


def opened(name: str, **asked: object) -> Device:
    """The device for a target's kernels."""
    return open_device(load(name), DeviceOptions(**asked))  # type: ignore[arg-type]


def test_only_this_machine_s_own_target_is_timed_here() -> None:
    assert isinstance(opened("host"), LocalDevice)
    for name in ("arm", "rk3399", "rpi3b", "rpi4", "rpi5", "pixel2"):
        assert isinstance(opened(name), SimulatedDevice)


def test_what_is_asked_for_is_done() -> None:
    named = opened("rk3399", address="rpc://127.0.0.1:9190")
    assert isinstance(named, RpcDevice) and named.address.key == "rk3399"
    assert isinstance(opened("rk3399", workers=2), SimulatedDevice)
    assert isinstance(opened("rk3399", tracker="a:1"), SimulatedDevice)
    assert isinstance(opened("host", simulate=True), SimulatedDevice)


@pytest.mark.parametrize("wish", [{"simulate": True}, {"workers": 1}, {"tracker": "a:1"}])
def test_a_device_is_not_simulated(wish: dict[str, object]) -> None:
    with pytest.raises(UserError, match="a device measures for itself"):
        opened("rk3399", address="rpc://a:1/b", **wish)


def test_one_line_says_what_it_is_worth() -> None:
    words = opened("rk3399").note
    assert words is not None and "\n" not in words
    for part in ("simulated", "2x cortex-a72 at 1.8 GHz", "--device rpc://HOST:PORT/rk3399"):
        assert part in words
    assert opened("host").note is None
    assert opened("rk3399", address="rpc://a:1/b").note is None


def test_too_many_threads_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "mobilenet_v1_28", "--target", "rk3399", "--threads", "3"]) == 1
    said = capsys.readouterr().err
    assert "3 threads do not fit the 2 cortex-a72 cores of rk3399" in " ".join(said.split())


def test_an_artifact_runs_here_unless_a_device_is_named() -> None:
    assert isinstance(open_runner("rpi4", DeviceOptions()), LocalDevice)
    named = open_runner("rpi4", DeviceOptions(address="rpc://a:1", cores="little"))
    assert isinstance(named, RpcDevice) and named.address.key == "rpi4"
    with pytest.raises(UserError, match="chooses on a device: name one with --device"):
        open_runner("rpi4", DeviceOptions(cores="little"))


def test_an_artifact_needs_no_file_of_its_target_to_run() -> None:
    runner = open_runner("a-board-of-mine", DeviceOptions(address="rpc://a:1"))
    with pytest.raises(UserError, match="unknown target 'a-board-of-mine'"):
        runner.peak_gflops(1)


def test_choosing_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mnc.compile.device.opening import open_device; from mnc.targets import load;"
        "from mnc.compile.device.options import DeviceOptions as D;"
        "open_device(load('rpi4'), D(address='rpc://a:1'));"
        "print({'torch', 'tvm', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
