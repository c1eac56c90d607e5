# SPDX-License-Identifier: Apache-2.0
"""From a `TfliteNetwork` to Relay in NCHW, by Relay's own importer; inputs and outputs stay NHWC."""

from typing import Any

import numpy as np
import tvm
from tvm import relay
from tvm.relay.frontend import tflite as importer

from mnc.compile.frontend import constant_folding
from mnc.compile.toolchain import pass_context
from mnc.model.tflite_file import TfliteNetwork

CONVOLUTIONS = ("nn.conv2d", "nn.conv2d_transpose")
SPATIAL = ("nn.max_pool2d", "nn.avg_pool2d", "image.resize2d")


def to_relay(network: TfliteNetwork) -> Any:
    """The module, its weights inside and its inputs named as `network.inputs` are. Raises whatever the
    converter of an operator meets.
    """
    import tflite

    model = tflite.Model.GetRootAsModel(network.content, 0)
    mod, params = relay.frontend.from_tflite(model, op_converter=_Converter)
    main = relay.build_module.bind_params_by_name(mod["main"], params)
    mod = constant_folding.fold(tvm.IRModule.from_expr(_renamed(main, model, network)))
    wanted = {name: ["NCHW", "default"] for name in CONVOLUTIONS}
    wanted |= {name: ["NCHW"] for name in SPATIAL}
    with pass_context.pass_context():
        # In a Sequential, which makes biases additions first: it has no layout for the addition of a bias.
        return tvm.transform.Sequential([relay.transform.ConvertLayout(wanted)])(mod)


def _renamed(main: Any, model: Any, network: TfliteNetwork) -> Any:
    """The function with its inputs in the file's order, under our names."""
    graph = model.Subgraphs(0)
    names = [graph.Tensors(int(one)).Name().decode() for one in graph.InputsAsNumpy()]
    ours = {
        name: relay.var(one.name, shape=one.shape)
        for name, one in zip(names, network.inputs, strict=True)
    }
    new = {parameter: ours[parameter.name_hint] for parameter in main.params}
    return relay.Function(list(ours.values()), relay.bind(main.body, new))


class _Converter(importer.OperatorConverter):  # type: ignore[misc]
    """Where Relay's converters do not do: weights kept as sparse float16, and PReLU without a layout."""

    def convert_dequantize(self, op: Any) -> Any:
        """Float16 weights as float32, sparse ones too."""
        (given,) = self.get_input_tensors(op)
        if self.is_prefetched(given.tensor_idx):
            values = self.get_prefetched_node(given.tensor_idx)
            return relay.const(np.asarray(values, np.float32))
        return super().convert_dequantize(op)

    def convert_prelu(self, op: Any) -> Any:
        """Element by element, so that the slopes of channels are channels still."""
        given, slopes = self.get_input_tensors(op)
        data = self.get_expr(given.tensor_idx)
        if self.has_expr(slopes.tensor_idx):
            slope = self.get_expr(slopes.tensor_idx)
        else:
            slope = relay.const(np.array(self.get_tensor_value(slopes), np.float32))
        zero = relay.const(np.zeros((), np.float32))
        below = relay.multiply(relay.minimum(data, zero), slope)
        return relay.add(relay.maximum(data, zero), below)
