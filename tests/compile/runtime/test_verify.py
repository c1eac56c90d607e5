# SPDX-License-Identifier: Apache-2.0
"""Parity: equal is equal, wrong is wrong, and a manifest cannot make code run."""

import math
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from mnc.compile.artifact import store
from mnc.compile.artifact.store import Artifact, Golden
from mnc.compile.runtime import verify
from mnc.model import torch_run
from mnc.support.errors import UserError
from tests.compile.conftest import Tiny


def logits(*rows: list[float]) -> list[tuple[np.ndarray[Any, Any], ...]]:
    """One example a row."""
    return [(np.array([row], np.float32),) for row in rows]


def test_the_compiled_network_agrees_with_pytorch(tiny: Tiny, tiny_artifact: Artifact) -> None:
    report = verify.verify(tiny_artifact, reference=torch_run.torch_reference(tiny.module))
    golden, now = report.checks
    assert report.ok
    assert (golden.against, golden.examples, golden.top1, golden.top5) == (
        "golden outputs",
        4,
        4,
        4,
    )
    assert (now.against, now.examples, now.predictions) == ("PyTorch", 8, 8)
    assert 0 <= now.max_relative < 1e-5
    assert now.margin is None


def test_weights_that_differ_a_little_fail(tiny: Tiny, tiny_artifact: Artifact) -> None:
    other = type(tiny.module)().eval()
    other.load_state_dict(tiny.module.state_dict())
    with torch.no_grad():
        last = next(layer for layer in other.modules() if isinstance(layer, nn.Linear))
        last.weight[3, 3] += 0.01
    report = verify.verify(tiny_artifact, reference=torch_run.torch_reference(other))
    golden, now = report.checks
    assert golden.ok
    assert not now.ok
    assert not report.ok


def test_golden_outputs_that_differ_fail(tiny: Tiny, tmp_path: Path) -> None:
    outputs = tiny.golden.outputs[0].copy()
    outputs[2, 0, 5] += 1e-3
    wrong = Golden(tiny.golden.inputs, (outputs,))
    saved = store.save(tmp_path / "a", tiny.manifest, library=tiny.write, golden=wrong)
    report = verify.verify(saved)
    assert not report.ok
    assert report.checks[0].max_absolute == pytest.approx(1e-3, rel=1e-2)


def test_errors_are_relative_to_the_largest_logit() -> None:
    check = verify.compare(
        "x", logits([100.0, 0.5], [1.0, -2.0]), logits([100.0, 0.505], [1.0, -2.0])
    )
    assert check.max_absolute == pytest.approx(0.005, rel=1e-3)
    assert check.max_relative == pytest.approx(5e-5, rel=1e-3)
    assert check.ok
    assert not verify.compare("x", logits([1.0]), logits([1.0 + 2e-4])).ok


def test_ranks_and_margins() -> None:
    truth = logits([5, 4, 3, 2, 1, 0], [5, 4.5, 3, 2, 1, 0], [5, 4, 3, 2, 1, 0])
    found = logits([5, 4, 3, 2, 1, 0], [4.5, 5, 3, 2, 1, 0], [5, 3, 4, 2, 1, 0])
    check = verify.compare("x", truth, found)
    assert (check.predictions, check.top1, check.top5) == (3, 2, 1)
    assert check.margin == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_outputs_that_are_no_numbers_never_pass(bad: float) -> None:
    check = verify.compare("x", logits([1.0, 2.0]), logits([1.0, bad]))
    assert not check.ok
    assert check.max_absolute == math.inf
    assert not verify.compare("x", logits([0.0, 0.0]), logits([0.0, 1e-9])).ok
    assert verify.compare("x", logits([0.0, 0.0]), logits([0.0, 0.0])).ok


def test_other_shapes_are_one_line() -> None:
    with pytest.raises(UserError, match=r"\[1, 1\] where \[1, 2\]"):
        verify.compare("x", logits([1.0, 2.0]), logits([1.0]))


def test_a_model_of_the_zoo_is_rebuilt_when_its_weights_are_the_same(tiny: Tiny) -> None:
    from mnc.model import zoo

    model = zoo.load("mobilenet_v1_28")
    network = msgspec.structs.replace(
        tiny.manifest.network, spec=model.name, weights_hash=model.weights_hash
    )
    tensor = msgspec.structs.replace(tiny.manifest.inputs[0], shape=model.input_shape)
    manifest = msgspec.structs.replace(tiny.manifest, network=network, inputs=(tensor,))
    reference, note = verify.rebuild(manifest)
    assert reference is not None
    assert note == ""
    x = np.random.default_rng(0).standard_normal(model.input_shape).astype(np.float32)
    with torch.no_grad():
        wanted = model.module(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(reference(x)[0], wanted)
    other = msgspec.structs.replace(network, weights_hash="0" * 64)
    reference, note = verify.rebuild(msgspec.structs.replace(manifest, network=other))
    assert reference is None
    assert "not the zoo's" in note


@pytest.mark.parametrize("spec", ["evil_module:pwn", "evil.pt", "evil.pt2"])
def test_a_manifest_cannot_have_code_imported(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    (tmp_path / "evil_module.py").write_text("open('sprung', 'w')\ndef pwn(): open('sprung', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    network = msgspec.structs.replace(tiny.manifest.network, spec=spec)
    reference, note = verify.rebuild(msgspec.structs.replace(tiny.manifest, network=network))
    assert reference is None
    assert "not in the zoo" in note
    assert not (tmp_path / "sprung").exists()


def test_an_unknown_model_leaves_the_golden_outputs(tiny_artifact: Artifact) -> None:
    report = verify.verify(tiny_artifact)
    assert report.ok
    assert len(report.checks) == 1
    assert "cannot be rebuilt here" in report.note


def test_without_torch_the_golden_outputs_are_compared(tiny_artifact: Artifact) -> None:
    code = f"""
        import sys
        sys.modules["torch"] = None  # what an import finds where it is not installed
        from pathlib import Path
        from mnc.compile.artifact import store as artifact
        from mnc.compile.runtime import verify as parity
        report = parity.verify(artifact.load(Path({str(tiny_artifact.folder)!r})))
        print(report.ok, len(report.checks), report.note)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("True 1 PyTorch is not installed")
