# SPDX-License-Identifier: Apache-2.0
"""An `.onnx` file comes out in our layout and computes what ONNX Runtime does, from the file to a session."""

import sys
from pathlib import Path
from typing import Any

import pytest
import tvm
from tvm import relay

from mnc.compile import api
from mnc.compile.frontend import importer
from mnc.model import zoo
from mnc.support.errors import UserError
from mnc.targets import load
from tests.model import onnx_networks

SHAPE = (1, 3, 16, 16)


def operators(mod: Any) -> set[str]:
    """The names of all that is called."""
    found: set[str] = set()

    def look(node: Any) -> None:
        if isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op):
            found.add(node.op.name)

    relay.analysis.post_order_visit(mod["main"], look)
    return found


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A small mobile network of two outputs."""
    onnx_networks.save(onnx_networks.mobile(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_every_convolution_is_ours_and_batch_norms_are_gone(net: Path) -> None:
    program = importer.import_model(zoo.load(str(net), input_shape=SHAPE), load("rpi4"))
    assert [one.name for one in program.inputs] == ["input"]
    assert program.output_shapes == ((1, 5), (1, 16, 8, 8))
    called = operators(program.mod)
    assert {"nn.contrib_conv2d_NCHWc", "nn.contrib_depthwise_conv2d_NCHWc"} < called
    assert not called & {"nn.conv2d", "nn.dense", "nn.batch_norm", "sqrt", "rsqrt"}


def test_an_operator_that_relay_does_not_know_is_named(tmp_path: Path) -> None:
    onnx_networks.save(onnx_networks.one_node("Det"), tmp_path / "a.onnx")
    with pytest.raises(UserError, match=r"a cannot be imported: .*Det"):
        importer.import_model(zoo.load(str(tmp_path / "a.onnx")), load("rpi4"))


@pytest.mark.slow
def test_a_build_is_compared_with_onnx_runtime(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = api.ModelSpec(str(net), input_shape=(2, *SHAPE[1:]))
    made = api.build(model, out=tmp_path / "build", logs=tmp_path)
    assert made.manifest.comparison is not None and made.manifest.comparison.passed
    assert {check.against for check in made.checks} == {"golden outputs", "ONNX Runtime"}
    assert all(check.max_relative < 1e-5 for check in made.checks)
    assert api.verify(made, model=str(net)).ok
    assert "ONNX Runtime" in api.bench(made, model=model, seconds=0.2).latencies
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    alone = api.build(model, out=tmp_path / "alone", logs=tmp_path)
    assert alone.manifest.comparison is None
    assert "needs the package onnxruntime: pip install 'mnc[onnx]'" in alone.not_checked
    assert api.verify(alone).ok and "compiled program itself" in alone.manifest.golden
