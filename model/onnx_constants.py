# SPDX-License-Identifier: Apache-2.0
"""What an ONNX network of fixed sizes computes without its inputs, as weights: in numpy, by ONNX's reference.

Takes a `ModelProto`; gives one whose shapes are known and whose constants, sizes of tensors among them, are
initializers. Relay's importer compiles each expression of constants that it meets.
"""

import math
from typing import Any

import numpy as np

LARGEST = 2**24  # elements: what is worked out beyond that is kept as it is written
ROUNDS = 8


def worked_out(proto: Any) -> Any:
    """The network again. Raises what shape inference and ONNX's operators do where shapes do not fit."""
    from onnx import shape_inference

    del proto.graph.value_info[:]
    for one in proto.graph.output:  # what it says of its sizes is of open ones
        one.type.tensor_type.ClearField("shape")
    for _ in range(ROUNDS):
        before = len(proto.graph.node)
        proto = shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
        _fold(proto)
        if len(proto.graph.node) == before:
            break
    return proto


def _fold(proto: Any) -> None:
    from onnx import numpy_helper

    graph = proto.graph
    shapes = _shapes(graph)
    opsets = {one.domain: one.version for one in proto.opset_import}
    known = {one.name: one for one in graph.initializer}
    kept = []
    for node in graph.node:
        found = _value(node, known, shapes, opsets)
        if found is None:
            kept.append(node)
            continue
        for name, array in zip(node.output, found, strict=False):
            known[name] = numpy_helper.from_array(array, name)
    needed = {name for node in kept for name in node.input} | {one.name for one in graph.output}
    weights = [one for name, one in known.items() if name in needed]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(weights)


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """The tensors whose every size is known."""
    found = {}
    for one in (*graph.input, *graph.value_info, *graph.output):
        if one.type.tensor_type.HasField("shape"):
            sizes = one.type.tensor_type.shape.dim
            if all(size.HasField("dim_value") for size in sizes):
                found[one.name] = tuple(size.dim_value for size in sizes)
    return found


def _value(
    node: Any,
    known: dict[str, Any],
    shapes: dict[str, tuple[int, ...]],
    opsets: dict[str, int],
) -> list[Any] | None:
    """The outputs of a node that reads only what is known, or None."""
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
        return [np.array(shapes[node.input[0]], np.int64)]
    read = [name for name in node.input if name]
    if node.domain not in ("", "ai.onnx") or any(name not in known for name in read):
        return None
    if any(math.prod(known[name].dims) > LARGEST for name in read) or _is_random(node):
        return None
    values = {name: numpy_helper.to_array(known[name]) for name in read}
    evaluator = ReferenceEvaluator(node, opsets=opsets)
    return [np.asarray(one) for one in evaluator.run(None, values)]


def _is_random(node: Any) -> bool:
    return "Random" in node.op_type or node.op_type in ("Bernoulli", "Multinomial")
