# SPDX-License-Identifier: Apache-2.0
"""`.tflite` files: what they take, and one line for what cannot be compiled."""

from pathlib import Path

import numpy as np
import pytest
import tflite

from mnc.model import zoo
from mnc.support.errors import UserError
from tests.model import tflite_networks

SHAPE = (1, 128, 128, 3)


@pytest.fixture(scope="module")
def front() -> Path:
    """A detector of faces, its weights in float16."""
    return tflite_networks.path("face_detection_front")


def test_a_file_is_a_model_that_litert_runs(front: Path) -> None:
    model = zoo.load(str(front))
    assert (model.name, model.runtime) == ("face_detection_front", "LiteRT")
    assert (model.input_shape, model.layout) == (SHAPE, "NHWC")
    boxes, scores = model.reference()(np.zeros(SHAPE, np.float32))
    assert boxes.shape == (1, 896, 16) and scores.shape == (1, 896, 1)
    assert zoo.load(str(front), input_shape=SHAPE).weights_hash == model.weights_hash


def test_other_sizes_than_its_own_are_refused(front: Path) -> None:
    for wanted in ({"input_shape": (1, 3, 128, 128)}, {"batch": 2}):
        with pytest.raises(
            UserError, match="takes 1,128,128,3 as its input input and nothing else"
        ):
            zoo.load(str(front), **wanted)


def test_files_that_are_none_or_not_whole(front: Path, tmp_path: Path) -> None:
    content, file = front.read_bytes(), tmp_path / "net.tflite"
    cases = (b"", b"\x08\x03onnx", content[: len(content) // 2], content[:64], content[:-4000])
    for damaged in (*cases, content[:8] + bytes(9000)):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"is not a TensorFlow Lite file|is damaged") as caught:
            zoo.load(str(file))
        assert "\n" not in str(caught.value)


def test_a_quantized_file_is_refused_by_what_it_holds(front: Path, tmp_path: Path) -> None:
    """The type of a tensor is one byte: weights in float16 are said to be integers."""
    content = bytearray(front.read_bytes())
    graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    half = next(one for one in tensors if one.Type() == tflite.TensorType.FLOAT16)
    content[half._tab.Pos + half._tab.Offset(6)] = tflite.TensorType.INT8
    (tmp_path / "net.tflite").write_bytes(content)
    with pytest.raises(UserError, match=r"is quantized \(int8 in .*\); only float32 networks"):
        zoo.load(str(tmp_path / "net.tflite"))
