# SPDX-License-Identifier: Apache-2.0
"""Small networks written as exporters write `.onnx`, with what mobile networks are made of."""

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
SIZES = ("n", 3, "h", "w")


def value(name: str, sizes: tuple[Any, ...], kind: int = FLOAT) -> Any:
    """An input or output."""
    return helper.make_tensor_value_info(name, kind, sizes)


def model(
    nodes: list[Any], weights: dict[str, Any], inputs: list[Any], outputs: dict[str, int]
) -> Any:
    """A ModelProto; `outputs` have that many axes, of open sizes."""
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    results = [value(name, (None,) * axes) for name, axes in outputs.items()]
    graph = helper.make_graph(nodes, "net", inputs, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def mobile(sizes: tuple[Any, ...] = SIZES) -> Any:
    """Batch norms not folded, a gate, hard swish, a resize and a reshape whose shape is computed; classes and
    a map of features.
    """
    random = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return (random.standard_normal(shape) / math.sqrt(math.prod(shape[1:]) or 1)).astype("f4")

    weights = {
        "stem": normal(12, 3, 3, 3),
        "scale": np.linspace(0.5, 2, 12, dtype="f4"),
        "shift": normal(12),
        "mean": normal(12),
        "variance": np.linspace(0.1, 3, 12, dtype="f4"),
        "taps": normal(12, 1, 3, 3),
        "taps_bias": normal(12),
        "gate": normal(12, 12, 1, 1),
        "project": normal(16, 12, 1, 1),
        "project_bias": normal(16),
        "low": np.float32(0),
        "high": np.float32(6),
        "twice": np.array([1, 1, 2, 2], "f4"),
        "classes": normal(5, 16),
        "classes_bias": normal(5),
        "pixels": np.array([2, 3]),
        "first": np.array([0]),
        "rest": np.array([-1]),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "stem"], ["a"], strides=[2, 2], pads=[0, 0, 1, 1]),
        node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["b"]),
        node("HardSwish", ["b"], ["c"]),
        node("Conv", ["c", "taps", "taps_bias"], ["d"], group=12, pads=[1, 1, 1, 1]),
        node("Clip", ["d", "low", "high"], ["e"]),
        node("GlobalAveragePool", ["e"], ["f"]),
        node("Conv", ["f", "gate"], ["g"]),
        node("HardSigmoid", ["g"], ["h"], alpha=0.2),
        node("Mul", ["e", "h"], ["i"]),
        node("Conv", ["i", "project", "project_bias"], ["features"]),
        node("Resize", ["features", "", "twice"], ["j"], mode="nearest"),
        node("ReduceMean", ["j", "pixels"], ["k"]),
        node("Shape", ["k"], ["shape"]),
        node("Gather", ["shape", "first"], ["batch"]),
        node("Concat", ["batch", "rest"], ["flat"], axis=0),
        node("Reshape", ["k", "flat"], ["l"]),
        node("Gemm", ["l", "classes", "classes_bias"], ["logits"], transB=1),
    ]
    return model(nodes, weights, [value("x", sizes)], {"logits": 2, "features": 4})


def one_node(kind: str, *, element: int = FLOAT, count: int = 1) -> Any:
    """A network of one operator, which reads each of its inputs."""
    names = [f"in{number}" for number in range(count)]
    inputs = [value(name, (1, 4, 4, 4), element) for name in names]
    return model([helper.make_node(kind, names, ["y"])], {}, inputs, {"y": 4})


def save(made: Any, path: Any, *, weights_apart: bool = False) -> None:
    """Write it; its weights to a file of their own, if so asked."""
    onnx.save(
        made, path, save_as_external_data=weights_apart, size_threshold=0, location="net.data"
    )
