# SPDX-License-Identifier: Apache-2.0
"""From an `OnnxNetwork` to a Relay module, by Relay's own importer."""

import contextlib
import functools
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from tvm import relay
from tvm.relay.frontend import onnx as importer

from mnc.model.onnx_file import OnnxNetwork


def to_relay(network: OnnxNetwork) -> Any:
    """The module, its weights inside and its inputs named as `network.inputs` are. Raises whatever the
    converter of an operator meets.
    """
    named = dict(zip(network.names, network.inputs, strict=True))
    shapes = {name: one.shape for name, one in named.items()}
    with _as_tvm_knows_onnx(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mod, _ = relay.frontend.from_onnx(
            _with_axes_within(network.proto), shapes, freeze_params=True
        )
    main = mod["main"]
    new = {one: relay.var(named[one.name_hint].name, one.type_annotation) for one in main.params}
    mod["main"] = relay.Function(list(new.values()), relay.bind(main.body, new))
    return mod


def _with_axes_within(given: Any) -> Any:
    """A copy whose reductions have their axes as attributes: TVM 0.19 reads them as before opset 18."""
    from onnx import helper, numpy_helper

    proto = type(given)()
    proto.CopyFrom(given)
    known = {one.name: one for one in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type.startswith("Reduce") and len(node.input) == 2 and node.input[1] in known:
            axes = numpy_helper.to_array(known[node.input.pop()])
            node.attribute.append(helper.make_attribute("axes", axes.tolist()))
    return proto


@contextlib.contextmanager
def _as_tvm_knows_onnx() -> Iterator[None]:
    """TVM 0.19 reads `onnx.mapping`, which later versions lack, and makes its table of converters anew for
    every node.
    """
    import onnx

    mapping = ModuleType("onnx.mapping")
    kinds = [kind for kind in onnx.TensorProto.DataType.values() if kind]
    mapping.TENSOR_TYPE_TO_NP_TYPE = {  # type: ignore[attr-defined]
        kind: onnx.helper.tensor_dtype_to_np_dtype(kind) for kind in kinds
    }
    table = importer._get_convert_map
    before = sys.modules.get("onnx.mapping")
    sys.modules["onnx.mapping"] = mapping
    importer._get_convert_map = functools.cache(table)
    try:
        yield
    finally:
        importer._get_convert_map = table
        del sys.modules["onnx.mapping"]
        if before is not None:
            sys.modules["onnx.mapping"] = before
