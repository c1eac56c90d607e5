# SPDX-License-Identifier: Apache-2.0
"""From a model to a Relay program in the target's blocked layout, weights inside.

Takes a `Model` and a `Target`; gives a `Program`, which tasks are extracted from and libraries are built of.
"""

import math
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relay

from mnc.compile.frontend import (
    constant_folding,
    family_layout,
    half_precision,
    markers,
    onnx_import,
    parallel_convolutions,
    quantized,
    tflite_import,
)
from mnc.compile.records.family_choice import BLOCKED
from mnc.compile.templates import instructions
from mnc.compile.toolchain import half_arithmetic, pass_context
from mnc.model import foreign, prepare
from mnc.model.inputs import Input
from mnc.model.names import Precision
from mnc.model.network_files import FileNetwork
from mnc.model.onnx_file import OnnxNetwork
from mnc.model.tflite_file import TfliteNetwork
from mnc.model.zoo import Model
from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.targets import Target

# Channels in a block of a network in 8-bit integers, on every CPU: 128 bits of them, 512 of their sums.
INTEGER_BLOCK = 16
# And of one in half precision: 128 bits.
HALF_BLOCK = 8


@dataclass(frozen=True)
class Program:
    """A network as the compiler sees it: `mod` has one function, weights are constants in it."""

    mod: Any
    inputs: tuple[Input, ...]
    output_shapes: tuple[tuple[int, ...], ...]


def import_model(model: Model, target: Target, *, family: str = BLOCKED) -> Program:
    """Import into Relay, lay it out for a family of kernels (`mnc.compile.tuning.families`).

    UserError when it cannot be, with what stops it.
    """
    if model.precision == "fp16":
        half_arithmetic.check(target)
    network = model.network
    traced = None if isinstance(network, FileNetwork) else _traced(model)
    try:
        if isinstance(network, OnnxNetwork):
            mod = onnx_import.to_relay(network)
        elif isinstance(network, TfliteNetwork):
            mod = tflite_import.to_relay(network)
        else:
            mod = _from_torch(traced, model.inputs)
    except Exception as error:  # the importers raise whatever an operator's converter meets
        raise UserError(f"{model.name} cannot be imported: {_why(error)}") from error
    mod["main"] = _with_all(model.inputs, mod["main"])
    _check_sizes(mod, model.name)
    with tvm.target.Target(target.tvm_target()):  # whose instructions the layout follows
        mod = _in_precision(mod, model.precision)
        mod = family_layout.in_layout(mod, family, block_of(target, model.precision))
    return Program(mod, model.inputs, _output_shapes(mod, model.name))


def block_of(target: Target, precision: Precision) -> int:
    """Channels in a block of the layout: a vector's, of integers and halves one of 128 bits."""
    return {"int8": INTEGER_BLOCK, "fp16": HALF_BLOCK}.get(precision, target.lanes)


def _in_precision(mod: Any, precision: Precision) -> Any:
    """The module simplified, in the numbers of the current target for that."""
    if precision == "int8":
        return _simplify(quantized.to_integers(mod, dtype=instructions.stored()))
    return half_precision.in_half(_simplify(mod)) if precision == "fp16" else _simplify(mod)


def _from_torch(traced: Any, inputs: tuple[Input, ...]) -> Any:
    mod, params = relay.frontend.from_pytorch(
        traced,
        [(one.name, one.shape) for one in inputs],
        custom_convert_map=markers.from_torch() | {"aten::gelu": _gelu},
    )
    return tvm.IRModule.from_expr(_with_weights(mod["main"], params))


def _gelu(inputs: Any, _: Any) -> Any:
    """By the error function: x less the rest of it, NaN for both infinities as in PyTorch's kernel."""
    data = inputs[0]
    half, root = (relay.const(np.float32(value)) for value in (0.5, math.sqrt(0.5)))
    return data - data * (half - relay.erf(data * root) * half)


def _with_weights(main: Any, params: Mapping[str, Any]) -> Any:
    """The function with its weights inside: one that several lists hold is as many parameters of one name."""
    weights = {
        one: relay.const(params[one.name_hint]) for one in main.params if one.name_hint in params
    }
    others = [one for one in main.params if one not in weights]
    return relay.Function(others, relay.bind(main.body, weights))


def _with_all(inputs: tuple[Input, ...], main: Any) -> Any:
    """The function with its parameters in calling order, those that the network does not read among them."""
    known = {parameter.name_hint: parameter for parameter in main.params}
    parameters = [known.get(one.name) or relay.var(one.name, shape=one.shape) for one in inputs]
    return relay.Function(parameters, main.body, main.ret_type)


def _traced(model: Model) -> Any:
    try:
        return prepare.trace(model)
    except UserError:
        raise
    except Exception as error:  # torch's, or of the network's own code
        reason = error_text.of_exception(error)
        if prepare.runs(model):
            raise UserError(
                f"{model.name} cannot be imported: PyTorch runs {_culprit(error)} and cannot trace it "
                f"({reason}); write it with other operators in its forward()"
            ) from error
        shapes = " and ".join(str(one.shape) for one in model.inputs)
        raise UserError(
            f"{model.name} cannot be imported for input {shapes}: {reason}; "
            f"{foreign.advice(reason)}"
        ) from error


def _culprit(error: Exception) -> str:
    """What of PyTorch's the network called when it failed."""
    called = [
        frame.name
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.endswith("/torch/nn/functional.py")
    ]
    return called[0] if called else "it"


def _why(error: Exception) -> str:
    """What stops it, and what to do."""
    unknown = re.findall(r"'((?:aten|prim|quantized)::\w+)'", str(error))
    if "not implemented" in str(error) and unknown:
        return f"it has {', '.join(unknown)}; write them with other operators in its forward()"
    return f"{error_text.of_exception(error)}; leave out or write otherwise what this names"


def _check_sizes(mod: Any, name: str) -> None:
    """UserError where the size of what an operator gives is not settled by that of the inputs."""
    unsettled: list[str] = []

    def look(node: Any) -> None:
        shape = getattr(node.checked_type, "shape", ()) if isinstance(node, relay.Call) else ()
        if not all(isinstance(extent, tvm.tir.IntImm) for extent in shape):
            unsettled.append(getattr(node.op, "name", "a function"))

    try:
        relay.analysis.post_order_visit(relay.transform.InferType()(mod)["main"].body, look)
    except tvm.TVMError as error:  # types or shapes that do not go together
        raise UserError(f"{name} cannot be imported: {_why(error)}") from error
    if unsettled:
        raise UserError(
            f"{name} cannot be compiled: how much its {unsettled[0]} gives is not settled by the sizes of "
            "its inputs; cut or pad it to one size in forward()"
        )


def _simplify(mod: Any) -> Any:
    """Inference only: BN that tracing left becomes a scale, dropout goes, constants are folded."""
    passes = [
        relay.transform.RemoveUnusedFunctions(),
        relay.transform.InferType(),
        relay.transform.SimplifyInference(),
        # TensorFlow SAME padding arrives as a pad before the convolution.
        relay.transform.FoldExplicitPadding(),
        tvm.transform.module_pass(lambda given, _: constant_folding.fold(given), opt_level=0),
        tvm.transform.module_pass(lambda given, _: parallel_convolutions.merge(given), opt_level=0),
        relay.transform.FoldConstant(),  # what numpy was not asked for
    ]
    with pass_context.pass_context():
        return tvm.transform.Sequential(passes)(mod)


def _output_shapes(mod: Any, name: str) -> tuple[tuple[int, ...], ...]:
    result = mod["main"].checked_type.ret_type
    tensors = result.fields if isinstance(result, relay.TupleType) else [result]
    for number, tensor in enumerate(tensors):
        if tensor.dtype != "float32":
            raise UserError(
                f"{name} cannot be compiled: its output {number} is {tensor.dtype}, and outputs are float32; "
                "give what it is chosen from, such as the scores, and choose (argmax, >) outside"
            )
    return tuple(tuple(int(d) for d in tensor.shape) for tensor in tensors)
