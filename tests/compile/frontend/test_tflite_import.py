# SPDX-License-Identifier: Apache-2.0
"""Seven trained `.tflite` networks come out in our layout and compute what LiteRT does."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tvm
from tvm import relay

from mnc.compile import api
from mnc.compile.frontend import importer
from mnc.model import zoo
from mnc.targets import load
from tests.model import tflite_networks

TRANSFORMS = 9  # of the input, and two for each of four maps that make up the outputs


def operators(mod: Any) -> Counter[str]:
    """How often each is called."""
    found: Counter[str] = Counter()

    def look(node: Any) -> None:
        if isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op):
            found[node.op.name] += 1

    relay.analysis.post_order_visit(mod["main"], look)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", tflite_networks.NAMES)
def test_every_convolution_is_ours_with_no_transform_between(name: str) -> None:
    program = importer.import_model(zoo.load(str(tflite_networks.path(name))), load("rpi4"))
    called = operators(program.mod)
    assert called["nn.contrib_conv2d_NCHWc"] > 10 and called["nn.conv2d"] == 0
    assert called["nn.contrib_depthwise_conv2d_NCHWc"] > 10
    assert called["layout_transform"] <= TRANSFORMS, called


@pytest.mark.slow
@pytest.mark.parametrize("name", ["face_detection_full_range_sparse", "face_landmark"])
def test_a_build_is_compared_with_litert(name: str, tmp_path: Path) -> None:
    """Sparse weights in float16, bilinear resizing, depth to space, added channels; and PReLU."""
    file = str(tflite_networks.path(name))
    made = api.build(file, out=tmp_path / "build", logs=tmp_path)
    assert made.manifest.inputs[0].layout == "NHWC"
    assert made.manifest.comparison is not None and made.manifest.comparison.passed
    assert {check.against for check in made.checks} == {"golden outputs", "LiteRT"}
    assert all(check.max_relative < 1e-4 for check in made.checks)
