# SPDX-License-Identifier: Apache-2.0
"""A 1x1 convolution with bias and activation by Strassen's product, as one Relay operator with a template.

Takes a blocked Relay module; gives the `Product`s that there could be in it, and the module with some of
them. Which ones is the log's say (`codegen.relay_build`): those that were found to be faster.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relay
from tvm.relay.op import op as registry
from tvm.relay.op.strategy import generic

from mnc.compile.frontend import epilogues, own_operators
from mnc.compile.frontend.epilogues import Biased
from mnc.compile.frontend.expressions import children, in_order, is_call, replaced, shape_of
from mnc.compile.templates import op_strategy, pointwise, strassen, strassen_weights
from mnc.compile.templates.strassen_products import BLOCK, PRODUCTS
from mnc.compile.templates.workload import Workload

OPERATOR = "mnc.strassen"
LEAST = 1 << 15  # weights: with fewer, additions and short products cost more than is gained
ALIKE = 64.0  # times that a channel's weights may be larger than others', whose rounding errors they then are


@dataclass(frozen=True)
class Product:
    """A convolution with bias and activation, of which `last` is the last expression."""

    last: Any
    biased: Biased

    @property
    def workload(self) -> Workload:
        """The workload that it is as one operator."""
        data, kernel = (shape_of(arg) for arg in self.biased.convolution.args)
        chunks, in_chunks, *_, in_block, block = kernel
        seven = (chunks // 2, len(PRODUCTS), in_chunks // 2, 1, in_block, block)
        shapes = (data, seven, (1, chunks, 1, 1, block))
        return _workload(shapes, self.biased.activation)

    def product(self, data: Any) -> Any:
        """The call of the one operator, reading `data`."""
        weights = strassen_weights.packed(self.biased.convolution.args[1].data.numpy())
        bias = strassen_weights.bias_packed(self.biased.bias.data.numpy())
        attrs = tvm.ir.make_node("DictAttrs", activation=self.biased.activation)
        args = [data, relay.const(weights), relay.const(bias)]
        return relay.Call(relay.op.get(OPERATOR), args, attrs)


def products(mod: Any) -> tuple[Product, ...]:
    """Those of a typed module that could be made so."""
    order = in_order(mod["main"].body)
    uses = Counter(arg for node in order for arg in children(node))
    followed = {arg for node in order if _goes_with(node) for arg in children(node)}
    found = (epilogues.biased(node) if isinstance(node, relay.Call) else None for node in order)
    return tuple(
        Product(node, one)
        for node, one in zip(order, found, strict=True)
        if one is not None
        and node not in followed
        and all(uses[part] == 1 for part in {one.sums, one.convolution} - {node})
        and _is_fit(one)
    )


def applied(mod: Any, wanted: Callable[[Product], bool] = lambda _: True) -> Any:
    """The module with every `wanted` one as one operator; typed, as the one given."""
    chosen = {one.last: one for one in products(mod) if wanted(one)}

    def one_operator(node: Any, new: Callable[[Any], Any]) -> Any:
        one = chosen.get(node)
        return one and one.product(new(one.biased.convolution.args[0]))

    return replaced(mod, one_operator) if chosen else mod


def workload_of(call: Any) -> Workload:
    """The workload of a call of the operator whose arguments have types."""
    return _workload([shape_of(arg) for arg in call.args], str(call.attrs["activation"]))


def _workload(shapes: Iterable[tuple[int, ...]], activation: str) -> Workload:
    tensors = (("TENSOR", shape, "float32") for shape in shapes)
    return strassen.NAME, (*tensors, activation, "float32")


def _goes_with(node: Any) -> bool:
    """Whether it is done number by number, which a kernel of its own would read and write a map for."""
    if not isinstance(node, relay.Call) or not isinstance(node.op, tvm.ir.Op):
        return False
    pattern = node.op.get_attr("TOpPattern")
    return pattern is not None and int(pattern) <= registry.OpPattern.BROADCAST


def _is_fit(one: Biased) -> bool:
    """A map that an activation bounds: one number that is infinite, or much larger than all others, would be
    in two pixels of the output, and take part in the rounding errors of both.
    """
    data, kernel = one.convolution.args
    if op_strategy.template_of(one.convolution) is not pointwise:
        return False
    if data.checked_type.dtype != "float32" or not is_call(data, "clip"):
        return False
    _, chunks, height, width, block = shape_of(data)
    out_chunks = shape_of(kernel)[0]
    even = block == shape_of(kernel)[5] == BLOCK and chunks % 2 == out_chunks % 2 == 0
    large = kernel.data.numpy().size >= LEAST and height * width > 1
    return even and large and _are_alike(kernel.data.numpy(), one.bias.data.numpy())


def _are_alike(kernel: Any, bias: Any) -> bool:
    """Whether no channel's rounding errors are another's numbers. Of two output channels that are added, the
    weights or the bias of one are not much larger; of input channels, no one's weights than most others'.
    """
    weights = kernel[:, :, 0, 0].astype(np.float64)
    inputs = np.abs(weights).max(axis=(0, 3))
    outputs = np.maximum(np.abs(weights).max(axis=(1, 2)), np.abs(bias[0, :, 0, 0]))
    first, second = np.split(outputs, 2)
    alike = (first <= ALIKE * second) & (second <= ALIKE * first)
    return bool(alike.all() and inputs.max() <= ALIKE * np.median(inputs))


def _register() -> None:
    """Tell Relay the operator: its type and its template."""
    about = "A 1x1 convolution, bias and activation, blocked, by seven products."
    own_operators.register(OPERATOR, about, inputs=3, relation=_type, attributes=True)
    own_operators.implement(
        OPERATOR,
        registry.OpPattern.OPAQUE,
        lambda attrs, inputs, _: [
            strassen.compute(*inputs, str(attrs["activation"]), inputs[0].dtype)
        ],
        generic.wrap_topi_schedule(strassen.schedule),
    )


def _type(args: Any, _attrs: Any) -> Any:
    data, kernel = args[:2]
    if not all(isinstance(one, relay.TensorType) for one in (data, kernel)):
        return None
    shape = (data.shape[0], 2 * kernel.shape[0], *data.shape[2:4], kernel.shape[5])
    return relay.TensorType(shape, data.dtype)


_register()
