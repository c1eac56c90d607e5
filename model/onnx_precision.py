# SPDX-License-Identifier: Apache-2.0
"""An ONNX network of float16 as one of float32: what it takes, its weights, its constants and its casts.

Takes a `ModelProto` whose data is all within; widens it in place. Each weight keeps its value.
"""

from typing import Any

import numpy as np


def widen(proto: Any) -> None:
    """No tensor of the graph is of float16 any more."""
    from onnx import AttributeProto, TensorProto

    graph = proto.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for weight in graph.initializer:
        _widen(weight)
    for node in graph.node:
        for one in node.attribute:
            if one.type == AttributeProto.TENSOR:
                _widen(one.t)
            elif (node.op_type, one.name, one.i) == ("Cast", "to", TensorProto.FLOAT16):
                one.i = TensorProto.FLOAT


def _widen(tensor: Any) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type == TensorProto.FLOAT16:
        wide = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
