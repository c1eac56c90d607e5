# SPDX-License-Identifier: Apache-2.0
"""`.onnx` files: what they take, what is settled of them, and one line for what cannot be compiled."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from mnc.model import zoo
from mnc.support.errors import UserError
from tests.model import onnx_networks

SHAPE = (1, 3, 16, 16)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A network whose batch and sizes are open."""
    onnx_networks.save(onnx_networks.mobile(), tmp_path / "my net.onnx")
    return tmp_path / "my net.onnx"


def test_a_file_is_a_model_that_onnx_runtime_runs(net: Path) -> None:
    model = zoo.load(str(net), input_shape=SHAPE, batch=2)
    assert (model.name, model.runtime, model.input_shape) == (
        "my_net",
        "ONNX Runtime",
        (2, *SHAPE[1:]),
    )
    logits, features = model.reference(threads=1)(np.zeros((2, *SHAPE[1:]), np.float32))
    assert logits.shape == (2, 5) and features.shape == (2, 16, 8, 8)
    again = zoo.load(str(net), input_shape=(1, 3, 32, 32))
    assert again.weights_hash == model.weights_hash, (
        "of what the file holds, not of how it is built"
    )


def test_what_follows_from_the_sizes_alone_is_worked_out(net: Path) -> None:
    network = zoo.load(str(net), input_shape=SHAPE).network
    kinds = {node.op_type for node in network.proto.graph.node}  # type: ignore[union-attr]
    assert "Conv" in kinds and not kinds & {"Shape", "Gather", "Concat", "Constant"}


def test_only_an_open_batch_needs_no_shape(tmp_path: Path) -> None:
    onnx_networks.save(onnx_networks.mobile(("n", 3, 16, 16)), tmp_path / "a.onnx")
    assert zoo.load(str(tmp_path / "a.onnx")).input_shape == SHAPE
    assert zoo.load(str(tmp_path / "a.onnx"), batch=3).input_shape == (3, 3, 16, 16)


def test_weights_in_a_file_beside_it_are_read(tmp_path: Path) -> None:
    made = onnx_networks.mobile(SHAPE)
    onnx_networks.save(made, tmp_path / "whole.onnx")
    onnx_networks.save(made, tmp_path / "apart.onnx", weights_apart=True)
    whole, apart = (zoo.load(str(tmp_path / f"{name}.onnx")) for name in ("whole", "apart"))
    assert (tmp_path / "net.data").exists()
    image = np.ones(SHAPE, np.float32)
    np.testing.assert_array_equal(whole.reference()(image)[0], apart.reference()(image)[0])
    (tmp_path / "net.data").unlink()
    with pytest.raises(
        UserError, match=r"apart.onnx is damaged or not whole .*keep the files of its"
    ):
        zoo.load(str(tmp_path / "apart.onnx"))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (None, r"leaves sizes of its input x open \(n,3,h,w\); give them, as in --input-shape"),
        ((1, 4, 16, 16), "takes n,3,h,w as its input x, not 1,4,16,16; check --input-shape"),
        ((1, 3, 16), "takes n,3,h,w as its input x, not 1,3,16"),
        (((1, 3, 16, 16), (1, 3, 16, 16)), "takes an input, x"),
    ],
)
def test_shapes_that_it_does_not_take(net: Path, shape: tuple[int, ...] | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        zoo.load(str(net), input_shape=shape)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (
            onnx_networks.one_node("DequantizeLinear", count=2),
            "quantized .DequantizeLinear.; only f",
        ),
        (
            onnx_networks.one_node("Relu", element=onnx.TensorProto.DOUBLE),
            "takes double as its input",
        ),
        (onnx_networks.one_node("Relu", count=0), "damaged or not whole"),
    ],
)
def test_networks_that_cannot_be_compiled(
    network: onnx.ModelProto, said: str, tmp_path: Path
) -> None:
    onnx_networks.save(network, tmp_path / "net.onnx")
    with pytest.raises(UserError, match=said):
        zoo.load(str(tmp_path / "net.onnx"))


def test_a_file_of_float16_is_compiled_as_float32(tmp_path: Path) -> None:
    half = onnx.TensorProto.FLOAT16
    weights = {"w": np.full((8, 4, 1, 1), 0.1, np.float16), "z": np.float16(0)}
    nodes = [
        onnx.helper.make_node("Cast", ["x"], ["a"], to=half),
        onnx.helper.make_node("Conv", ["a", "w"], ["b"]),
        onnx.helper.make_node("Max", ["b", "z"], ["y"]),
    ]
    made = onnx_networks.model(
        nodes, weights, [onnx_networks.value("x", (1, 4, 2, 2), half)], {"y": 4}
    )
    made.graph.output[0].type.tensor_type.elem_type = half
    onnx_networks.save(made, tmp_path / "net.onnx")
    (found,) = zoo.load(str(tmp_path / "net.onnx")).reference()(np.ones((1, 4, 2, 2), np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 4 * float(np.float16(0.1)), rtol=1e-6)


def test_files_that_are_none_or_not_whole(net: Path) -> None:
    content = net.read_bytes()
    for damaged in (b"", b"TFL3" * 40, b"PK\x03\x04" + bytes(99), content[: len(content) // 2]):
        net.write_bytes(damaged)
        with pytest.raises(UserError, match=r"is not an ONNX file|is damaged") as caught:
            zoo.load(str(net), input_shape=SHAPE)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no model file at"):
        zoo.load("missing.onnx")
    with pytest.raises(UserError, match="holds its own weights: leave out --weights"):
        zoo.load(str(net), weights=net)
