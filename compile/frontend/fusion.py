# SPDX-License-Identifier: Apache-2.0
"""A convolution and the depthwise one that alone reads it, as one Relay operator with its own template.

Takes a blocked Relay module; gives its `Pair`s, and the module with some of them fused. Relay never puts two
convolutions into one kernel, so the pair is an operator of its own, `mnc.convolution_depthwise`. Which pairs
are fused is the log's say (`codegen.network`): a pair is, unless its parts were measured to be faster.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relay
from tvm.relay.op import op as registry
from tvm.relay.op.strategy import generic

from mnc.compile.frontend import epilogues, integer_fusion, own_operators
from mnc.compile.frontend.expressions import children, in_order, replaced, shape_of
from mnc.compile.frontend.integer_fusion import IntegerPair
from mnc.compile.templates import convolution_depthwise, depthwise, op_strategy
from mnc.compile.templates.workload import Workload

OPERATOR = "mnc.convolution_depthwise"


@dataclass(frozen=True)
class Pair:
    """Two Relay calls, the constant added between them and the activation after that."""

    convolution: Any
    bias: Any
    activation: str
    depthwise: Any

    @property
    def workload(self) -> Workload:
        """The workload it is when fused."""
        return workload_of(self.fused(self.convolution.args[0]))

    def fused(self, data: Any) -> Any:
        """The call of the one operator, reading `data`."""
        attrs = tvm.ir.make_node(
            "DictAttrs",
            strides=self.convolution.attrs.strides,
            padding=self.convolution.attrs.padding,
            depthwise_strides=self.depthwise.attrs.strides,
            depthwise_padding=self.depthwise.attrs.padding,
            activation=self.activation,
        )
        args = [data, self.convolution.args[1], self.bias, self.depthwise.args[1]]
        return relay.Call(relay.op.get(OPERATOR), args, attrs)


def workload_of(call: Any) -> Workload:
    """The workload of a call of the operator whose arguments have types."""
    dtype = str(call.args[0].checked_type.dtype)
    tensors = (("TENSOR", shape_of(arg), dtype) for arg in call.args)
    return convolution_depthwise.NAME, (*tensors, *_arguments(call.attrs, dtype))


def pairs(mod: Any) -> tuple[Pair | IntegerPair, ...]:
    """The pairs of a typed module that could be fused, in the order of their depthwise convolutions."""
    order = in_order(mod["main"].body)
    uses = Counter(arg for node in order for arg in children(node))
    calls = [node for node in order if isinstance(node, relay.Call)]
    found = (_pair(node, uses) or integer_fusion.pair_of(node, uses) for node in calls)
    return tuple(pair for pair in found if pair is not None)


def fuse(mod: Any, wanted: Callable[[Pair | IntegerPair], bool] = lambda _: True) -> Any:
    """The module with every `wanted` pair as one operator; typed, as the one given."""
    chosen = {pair.depthwise: pair for pair in pairs(mod) if wanted(pair)}

    def one_operator(node: Any, new: Callable[[Any], Any]) -> Any:
        pair = chosen.get(node)
        return pair and pair.fused(new(pair.convolution.args[0]))

    return replaced(mod, one_operator) if chosen else mod


def _pair(call: Any, uses: Counter[Any]) -> Pair | None:
    """The pair that ends in `call`; nothing but the call may read what comes before it."""
    if not isinstance(call.op, tvm.ir.Op) or op_strategy.template_of(call) is not depthwise:
        return None
    found = epilogues.biased(call.args[0])
    if found is None or not _in_template(found.convolution, call):
        return None
    between = {call.args[0], found.sums, found.convolution}
    if op_strategy.template_of(found.convolution) is None or any(
        uses[node] != 1 for node in between
    ):
        return None
    return Pair(found.convolution, found.bias, found.activation, call)


def _in_template(convolution: Any, then: Any) -> bool:
    """The template of pairs knows neither groups nor dilation."""
    steps = (*convolution.attrs.dilation, *then.attrs.dilation)
    return convolution.attrs.groups == 1 and all(int(step) == 1 for step in steps)


def _register() -> None:
    """Tell Relay the operator: its type, template, and that element-wise operators may follow."""
    about = "A convolution, bias, activation and depthwise convolution, blocked."
    own_operators.register(OPERATOR, about, inputs=4, relation=_type, attributes=True)
    own_operators.implement(
        OPERATOR,
        registry.OpPattern.OUT_ELEMWISE_FUSABLE,
        lambda attrs, inputs, _: [
            convolution_depthwise.compute(*inputs, *_arguments(attrs, inputs[0].dtype))
        ],
        generic.wrap_topi_schedule(convolution_depthwise.schedule),
    )


def _type(args: Any, attrs: Any) -> Any:
    data, kernel, _, taps = args[:4]
    if not all(isinstance(one, relay.TensorType) for one in (data, kernel, taps)):
        return None
    between = own_operators.convolved(data.shape[2:4], kernel, attrs["strides"], attrs["padding"])
    size = own_operators.convolved(
        between, taps, attrs["depthwise_strides"], attrs["depthwise_padding"]
    )
    return relay.TensorType((data.shape[0], kernel.shape[0], *size, kernel.shape[5]), data.dtype)


def _arguments(attrs: Any, dtype: str) -> tuple[Any, ...]:
    """What the template takes after the tensors, which are of `dtype`, from the operator's attributes."""
    names = ("strides", "padding", "depthwise_strides", "depthwise_padding")
    numbers = (tuple(int(value) for value in attrs[name]) for name in names)
    return (*numbers, str(attrs["activation"]), dtype)


_register()
