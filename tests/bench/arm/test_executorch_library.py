# SPDX-License-Identifier: Apache-2.0
"""ExecuTorch's wheel under the emulator: compiled against, called without PyTorch, and its answer compared.

pointwise.pte is of `Conv2d(3, 8, 1)`, its weights and biases as below, delegated to XNNPACK by
ExecuTorch 1.5.1's guide.
"""

from pathlib import Path

import numpy as np
import pytest

from bench.arm import executorch_library, runtimes
from mnc.compile.tracing import emulator
from mnc.support.errors import UserError
from mnc.targets import load

NETWORK = Path(__file__).with_name("pointwise.pte")
EXECUTORCH = runtimes.find("executorch")


def _folder(path: Path) -> Path:
    """Files of the network as a recipe leaves them."""
    image = np.random.default_rng(0).standard_normal((1, 1, 3, 64, 64)).astype(np.float32)
    weights = (np.arange(24, dtype=np.float32).reshape(8, 3) - 12) / 16
    biases = np.arange(8, dtype=np.float32)[:, None, None] / 8
    (path / "model.pte").write_bytes(NETWORK.read_bytes())
    np.save(path / "inputs.npy", image)
    np.save(path / "expected.npy", np.einsum("oc,enchw->enohw", weights, image) + biases)
    return path


@pytest.mark.slow
@pytest.mark.skipif(
    emulator.why_not() is not None, reason="no emulator of this system takes plugins"
)
def test_a_delegated_network_is_priced_on_its_pool_of_threads(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    found = runtimes.price(EXECUTORCH, folder, load("rpi4"), threads=2)
    assert found.error < 1e-6
    assert len(found.trace.threads) == 2
    work = 2 * 64 * 64 * 8 * 3
    assert 0 < found.trace.simulation.flops < work
    (folder / "model.pte").write_bytes(b"none")
    with pytest.raises(UserError, match="without a region marked as timed"):
        runtimes.price(EXECUTORCH, folder, load("rpi4"), threads=1)


def test_a_wheel_without_what_is_compiled_against_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executorch_library, "debian_package", lambda name, arch: tmp_path)
    with pytest.raises(UserError, match="ExecuTorch's library cannot be compiled: ") as caught:
        executorch_library.library(tmp_path)
    assert "\n" not in str(caught.value)
