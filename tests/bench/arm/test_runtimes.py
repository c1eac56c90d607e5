# SPDX-License-Identifier: Apache-2.0
"""Runtimes under the emulator: those that are known, and ours, whose answer is compared before it is
priced.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.arm import runtimes
from bench.arm.files import exported_folder
from mnc.compile.tracing import emulator
from mnc.model import cost, zoo
from mnc.support.errors import UserError
from mnc.targets import load


def test_a_runtime_that_is_not_traced_is_named() -> None:
    with pytest.raises(UserError, match=r"'openvino' is traced; one of .*ncnn"):
        runtimes.find("openvino")


def test_who_races_is_known_and_ours_comes_first() -> None:
    for keys in runtimes.RACERS.values():
        ours, *peers = (runtimes.find(key) for key in keys.split(","))
        assert ours.recipe == runtimes.OURS and peers
        assert all(peer.recipe != runtimes.OURS for peer in peers)


@pytest.mark.slow
@pytest.mark.skipif(
    emulator.why_not() is not None, reason="no emulator of this system takes plugins"
)
def test_our_exported_network_is_priced_once_it_is_right(tmp_path: Path) -> None:
    target, runtime = load("rpi4"), runtimes.find("mnc")
    folder = exported_folder("mobilenet_v1_28", target, "float32")
    found = runtimes.price(runtime, folder, target, threads=1)
    assert found.error < 1e-5
    assert found.trace.unknown_share < 1e-3
    network = zoo.load("mobilenet_v1_28")
    needed = 2 * cost.cost(network.module, network.input_shape).multiply_adds
    assert found.trace.simulation.flops == pytest.approx(needed, rel=0.1)
    wrong = Path(shutil.copytree(folder, tmp_path / "wrong"))
    np.save(wrong / "expected.npy", -np.load(folder / "expected.npy"))
    with pytest.raises(UserError, match="mnc is wrong"):
        runtimes.price(runtime, wrong, target, threads=1)
