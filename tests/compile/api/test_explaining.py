# SPDX-License-Identifier: Apache-2.0
"""Where cycles go on a machine that is described as `host`, whatever it is."""

from pathlib import Path

import pytest

from mnc.compile import api
from mnc.targets import this_machine
from tests.targets import machines


@pytest.mark.slow
def test_an_arm_host_is_explained_though_nothing_tells_its_clock(tmp_path: Path) -> None:
    """Graviton 3: no file of its own, no clock in a virtual machine, and SVE, which LLVM may use."""
    target = this_machine(machine="aarch64", root=machines.GRAVITON3.write(tmp_path / "machine"))
    (found,) = api.explain("mobilenet_v1_28", target, layer="3", logs=tmp_path / "logs")
    assert (found.core, found.threads) == ("neoverse-v1", 4)
    assert 0 < found.seconds < 1e-3 and found.loops
