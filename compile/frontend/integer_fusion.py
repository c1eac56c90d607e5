# SPDX-License-Identifier: Apache-2.0
"""As `fusion`, of convolutions in 8-bit integers: one Relay operator for two and the rounding between them.

Takes a blocked Relay module; gives its `IntegerPair`s. Only 1x1 convolutions and those with no border of
their own come first, only depthwise ones of neighbouring columns or of register tiles second.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relay
from tvm.relay.op import op as registry
from tvm.relay.op.strategy import generic

from mnc.compile.frontend import markers, own_operators
from mnc.compile.frontend.expressions import is_call, shape_of
from mnc.compile.frontend.stored_convolution import StoredConvolution, stored_convolution
from mnc.compile.templates import integer, integer_convolution_depthwise
from mnc.compile.templates.workload import Workload

OPERATOR = "mnc.integer_convolution_depthwise"
MOST_SCALED = 0.99  # of a sum in 32 bits, so that it is rounded to 32 bits
LEAST_BYTES = (
    128 * 1024
)  # of the map between the two: every core's second cache holds a smaller one


@dataclass(frozen=True)
class IntegerPair:
    """The map between two convolutions, as it is made, and the Relay call of the second."""

    first: StoredConvolution
    depthwise: Any

    @property
    def convolution(self) -> Any:
        """The Relay call of the first."""
        return self.first.convolution

    @property
    def workload(self) -> Workload:
        """The workload it is when fused."""
        call = self.fused(self.convolution.args[0])
        shapes = [self.convolution.args[0], *call.args[1:]]
        dtypes = [str(self.convolution.args[0].checked_type.dtype)]
        dtypes += [str(one.data.dtype) for one in call.args[1:]]
        return _workload(call.attrs, [_shape(one) for one in shapes], dtypes)

    def fused(self, data: Any) -> Any:
        """The call of the one operator, reading `data`."""
        first = self.first
        attrs = tvm.ir.make_node(
            "DictAttrs",
            stored=[first.zero, first.least, first.most],
            strides=self.convolution.attrs["strides"],
            depthwise_strides=self.depthwise.attrs["strides"],
            depthwise_padding=self.depthwise.attrs["padding"],
        )
        bias, scale = relay.const(first.bias), relay.const(first.scale)
        args = [data, self.convolution.args[1], bias, self.depthwise.args[1], scale]
        return relay.Call(relay.op.get(OPERATOR), args, attrs)


def pair_of(call: Any, uses: Counter[Any]) -> IntegerPair | None:
    """The pair that ends in `call`; nothing but the call may read what comes before it."""
    if not is_call(call, markers.BLOCKED_CONVOLUTION):
        return None
    first = stored_convolution(call.args[0])
    if first is None or any(uses[node] != 1 for node in first.nodes):
        return None
    return IntegerPair(first, call) if _in_template(first, call) else None


def _in_template(first: StoredConvolution, then: Any) -> bool:
    """The template of pairs knows neither groups, borders of the first nor dilation."""
    ones, attrs = (1, 1), first.convolution.attrs
    name = markers.workload_of(first.convolution)[0]
    padded = any(int(pad) for pad in attrs["padding"])
    steps = (*attrs["dilation"], *then.attrs["dilation"])
    return (
        name in (integer.POINTWISE, integer.GROUPED)
        and (name == integer.POINTWISE or tuple(shape_of(first.convolution.args[1])[2:4]) != ones)
        and markers.workload_of(then)[0] in (integer.COLUMNS, integer.TILE)
        and int(attrs["groups"]) == 1
        and not padded
        and all(int(step) == 1 for step in steps)
        and int(then.attrs["pad_value"]) == first.zero
        and float(np.max(first.scale)) < MOST_SCALED
        and math.prod(shape_of(first.convolution)) >= LEAST_BYTES
    )


def workload_of(call: Any) -> Workload:
    """The workload of a call of the operator whose arguments have types."""
    dtypes = [str(arg.checked_type.dtype) for arg in call.args]
    return _workload(call.attrs, [tuple(shape_of(arg)) for arg in call.args], dtypes)


def _workload(attrs: Any, shapes: list[tuple[int, ...]], dtypes: list[str]) -> Workload:
    tensors = (("TENSOR", *one) for one in zip(shapes, dtypes, strict=True))
    return integer_convolution_depthwise.NAME, (*tensors, *_arguments(attrs))


def _shape(node: Any) -> tuple[int, ...]:
    sizes = node.data.shape if isinstance(node, relay.Constant) else node.checked_type.shape
    return tuple(int(size) for size in sizes)


def _arguments(attrs: Any) -> tuple[Any, ...]:
    """What the template takes after the tensors."""
    names = ("stored", "strides", "depthwise_strides", "depthwise_padding")
    return (*(tuple(int(value) for value in attrs[name]) for name in names), integer.SUMS)


def _register() -> None:
    about = "A convolution of integers, stored in 8 bits, and a depthwise one of that, blocked."
    own_operators.register(OPERATOR, about, inputs=5, relation=_type, attributes=True)
    own_operators.implement(
        OPERATOR,
        registry.OpPattern.OUT_ELEMWISE_FUSABLE,
        lambda attrs, inputs, _: [
            integer_convolution_depthwise.compute(*inputs, *_arguments(attrs))
        ],
        generic.wrap_topi_schedule(integer_convolution_depthwise.schedule),
    )


def _type(args: Any, attrs: Any) -> Any:
    data, kernel, _, taps = args[:4]
    if not all(isinstance(one, relay.TensorType) for one in (data, kernel, taps)):
        return None
    between = own_operators.convolved(data.shape[2:4], kernel, attrs["strides"], (0, 0, 0, 0))
    size = own_operators.convolved(
        between, taps, attrs["depthwise_strides"], attrs["depthwise_padding"]
    )
    shape = (data.shape[0], kernel.shape[0], *size, kernel.shape[5])
    return relay.TensorType(shape, integer.SUMS)


_register()
