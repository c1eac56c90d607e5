# SPDX-License-Identifier: Apache-2.0
"""A network with the markers of quantization becomes one that computes in 8-bit integers.

Takes a Relay module in the plain layout, as imported; gives it without markers. What stands between two
of them becomes integer operators as docs/int8.md says; whatever else there is computes in float32.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relay

from mnc.compile.frontend import markers
from mnc.compile.frontend.expressions import in_order, is_call, is_zero, rebuilt, shape_of
from mnc.compile.frontend.integer_forms import (
    Addition,
    Concatenation,
    Form,
    Function,
    Reshaped,
    Stored,
    Sums,
    inputs_of,
    quantized,
)
from mnc.compile.frontend.storing import Doubles, Grid

# Operators that only move numbers; max pooling compares them.
MOVING = frozenset(
    "reshape nn.batch_flatten squeeze transpose strided_slice nn.max_pool2d nn.dropout".split()
)


# Of one map's numbers, in float64, with the call's attributes.
UNARY: dict[str, Callable[[Doubles, Any], Doubles]] = {
    "nn.relu": lambda x, _: np.maximum(x, 0.0),
    "clip": lambda x, attrs: np.clip(x, attrs.a_min, attrs.a_max),
    "sigmoid": lambda x, _: 1.0 / (1.0 + np.exp(-x)),
    "tanh": lambda x, _: np.tanh(x),
    "exp": lambda x, _: np.exp(x),
    "negative": lambda x, _: -x,
    "abs": lambda x, _: np.abs(x),
    "erf": lambda x, _: np.vectorize(math.erf, otypes=[np.float64])(x),
    "nn.leaky_relu": lambda x, attrs: np.where(x > 0, x, x * attrs.alpha),
}
BINARY: dict[str, Callable[[Any, Any], Doubles]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def to_integers(mod: Any, *, dtype: str) -> Any:
    """The module in integers, its maps in memory as `dtype`: uint8 or int8."""
    mod = relay.transform.InferType()(mod)
    main = mod["main"]
    order = in_order(main.body)
    if not any(is_call(node, markers.FAKE_QUANTIZE) for node in order):
        return mod
    rewriter = _Rewriter(dtype)
    for node in order:
        if not isinstance(node, tvm.ir.Op):
            rewriter.visit(node)
    function = relay.Function(main.params, rewriter.floats(main.body))
    return relay.transform.InferType()(tvm.IRModule.from_expr(function))


class _Rewriter:
    """Visits the old graph in topological order and keeps the new form of every node."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._forms: dict[Any, Form] = {}
        self._floats: dict[Any, Any] = {}
        self._handlers: dict[str, Callable[[Any], Form | None]] = {
            markers.FAKE_QUANTIZE: self._stored,
            "nn.conv2d": self._convolution,
            "nn.dense": self._dense,
            "nn.bias_add": self._biased,
            "add": self._sum,
            "multiply": self._product,
            "nn.relu": lambda call: self._bounded(call, 0.0, np.inf),
            "clip": lambda call: self._bounded(call, call.attrs.a_min, call.attrs.a_max),
            "nn.adaptive_avg_pool2d": self._average,
            "nn.global_avg_pool2d": self._average,
            "mean": self._average,
            "concatenate": self._joined,
            "nn.pad": self._padded,
            **dict.fromkeys(MOVING, self._moved),
        }

    def visit(self, node: Any) -> None:
        """Give `node` its new form, if it has one in integers; its arguments have theirs."""
        if not isinstance(node, relay.Call) or not isinstance(node.op, tvm.ir.Op):
            return
        handler = self._handlers.get(node.op.name)
        form = handler(node) if handler else None
        form = form or self._function(node)
        if form is not None:
            self._forms[node] = form

    def floats(self, node: Any) -> Any:
        """The node's value in float32 (or, of what is no float, as it was)."""
        if node not in self._floats:
            form = self._forms.get(node)
            self._floats[node] = form.floats() if form else self._as_it_was(node)
        return self._floats[node]

    def _as_it_was(self, node: Any) -> Any:
        if (found := _weight(node)) is not None:
            values, scale = found
            by = scale.astype(np.float32).reshape(-1, *(1,) * (values.ndim - 1))
            return relay.const(values.astype(np.float32) * by)
        return rebuilt(node, self.floats)

    def _stored(self, call: Any) -> Form:
        value, scale, zero = call.args
        grid = Grid(float(scale.data.numpy()), int(zero.data.numpy()), self._dtype)
        form = self._forms.get(value)
        expr = form.quantized(grid) if form else quantized(self.floats(value), grid)
        return Stored(expr, grid)

    def _operand(self, node: Any) -> Stored | None:
        form = self._forms.get(node)
        return form if isinstance(form, Stored) else None

    def _padded(self, call: Any) -> Form | None:
        """A border of zeros is one of zero points."""
        data, border = self._operand(call.args[0]), call.args[1]
        if data is None or call.attrs.pad_mode != "constant" or not is_zero(border):
            return None
        value = relay.const(np.asarray(data.grid.stored_zero, data.grid.dtype))
        widths = [tuple(int(width) for width in axis) for axis in call.attrs.pad_width]
        return Stored(relay.nn.pad(data.expr, widths, value), data.grid)

    def _read_by_convolution(self, node: Any) -> tuple[Stored | None, tuple[int, int, int, int]]:
        """The map and the border that a pad before the convolution gives it: (top, left, bottom, right)."""
        if is_call(node, "nn.pad") and (data := self._operand(node.args[0])) is not None:
            batch, channels, rows, columns = node.attrs.pad_width
            inside = not any(int(width) for width in (*batch, *channels))
            if inside and isinstance(self._forms.get(node), Stored):
                top, bottom, left, right = (int(width) for width in (*rows, *columns))
                return data, (top, left, bottom, right)
        return self._operand(node), (0, 0, 0, 0)

    def _convolution(self, call: Any) -> Form | None:
        data, border = self._read_by_convolution(call.args[0])
        weight, attrs = _weight(call.args[1]), call.attrs
        plain = (attrs.data_layout, attrs.kernel_layout) == ("NCHW", "OIHW")
        if data is None or weight is None or not plain:
            return None
        values, scale = weight
        own = [int(p) for p in attrs.padding]
        own = own if len(own) == 4 else [*own, *own]
        sums = markers.convolution(
            data.expr,
            relay.const(values),
            blocked=False,
            strides=attrs.strides,
            padding=[one + more for one, more in zip(own, border, strict=True)],
            dilation=attrs.dilation,
            groups=int(attrs.groups),
            pad_value=data.grid.stored_zero,
        )
        return Sums.of_layer(sums, values, scale, data.grid)

    def _dense(self, call: Any) -> Form | None:
        """A convolution of one pixel, its sums as (N, O)."""
        data, weight = self._operand(call.args[0]), _weight(call.args[1])
        if data is None or weight is None:
            return None
        batch, channels = shape_of(call.args[0])
        values, scale = weight
        values = values.reshape(*values.shape, 1, 1)
        sums = markers.convolution(
            relay.reshape(data.expr, (batch, channels, 1, 1)),
            relay.const(values),
            blocked=False,
            strides=(1, 1),
            padding=(0, 0, 0, 0),
            dilation=(1, 1),
            groups=1,
            pad_value=0,
        )
        return Reshaped(Sums.of_layer(sums, values, scale, data.grid), (batch, values.shape[0]))

    def _biased(self, call: Any) -> Form | None:
        """A bias becomes part of the integer sums."""
        form, bias = self._forms.get(call.args[0]), call.args[1]
        if not isinstance(bias, relay.Constant):
            return None
        numbers = bias.data.numpy().astype(np.float64).reshape(-1)
        sums = form.sums if isinstance(form, Reshaped) else form
        if not isinstance(sums, Sums) or not sums.takes_bias(numbers):
            return None
        biased = sums.biased(numbers)
        return Reshaped(biased, form.shape) if isinstance(form, Reshaped) else biased

    def _sum(self, call: Any) -> Form | None:
        if (biased := self._biased(call)) is not None:
            return biased
        left, right = (self._forms.get(arg) for arg in call.args)
        if isinstance(left, Stored):
            left, right = right, left
        if not isinstance(left, Stored | Sums) or not isinstance(right, Stored):
            return None
        if isinstance(left, Sums) and not left.is_layer:
            return None
        first, second = call.args
        return Addition(left, right) if first != second and _alike(first, second) else None

    def _product(self, call: Any) -> Form | None:
        left, right = (self._operand(arg) for arg in call.args)
        if left is None or right is None or call.args[0] == call.args[1]:
            return None
        scale = np.float64(left.grid.scale) * np.float64(right.grid.scale)
        levels = relay.multiply(left.levels(), right.levels())
        return Sums(levels, np.asarray(scale), reach=left.grid.reach.product(right.grid.reach))

    def _bounded(self, call: Any, low: float, high: float) -> Form | None:
        form = self._forms.get(call.args[0])
        return form.bounded(low, high) if isinstance(form, Sums | Addition | Reshaped) else None

    def _average(self, call: Any) -> Form | None:
        data = self._operand(call.args[0])
        before, after = shape_of(call.args[0]), shape_of(call)
        if data is None or len(before) != 4 or after[:2] != before[:2]:
            return None
        if any(extent != 1 for extent in after[2:]):
            return None
        if call.op.name == "mean" and {int(a) % 4 for a in call.attrs.axis} != {2, 3}:
            return None
        pixels = before[2] * before[3]
        total = relay.sum(relay.cast(data.expr, "int32"), axis=[2, 3], keepdims=True)
        if zero := data.grid.stored_zero:
            total = relay.subtract(total, relay.const(np.int32(pixels * zero)))
        scale, reach = np.float64(data.grid.scale) / pixels, data.grid.reach.each(pixels)
        sums = Sums(total, np.asarray(scale), reach=reach)
        return sums if len(after) == 4 else Reshaped(sums, after)

    def _joined(self, call: Any) -> Form | None:
        parts = [self._operand(part) for part in getattr(call.args[0], "fields", ())]
        if not parts or any(part is None for part in parts):
            return None
        return Concatenation(tuple(part for part in parts if part), int(call.attrs.axis))

    def _moved(self, call: Any) -> Form | None:
        """Numbers in other places are on the same grid."""
        data = self._operand(call.args[0])
        if data is None:
            return None
        expr = relay.Call(call.op, [data.expr, *call.args[1:]], call.attrs)
        return Stored(expr, data.grid)

    def _function(self, call: Any) -> Form | None:
        """A chain of element-wise operators that reads one map only is a function of 256 numbers."""
        args = [self._numbers(arg) for arg in call.args]
        sources = {source.expr: source for source, _ in filter(None, args) if source}
        if len(sources) != 1 or any(arg is None for arg in args):
            return None
        values = [arg[1] for arg in args if arg is not None]
        with np.errstate(all="ignore"):
            if call.op.name in UNARY:
                made = UNARY[call.op.name](values[0], call.attrs)
            elif call.op.name in BINARY:
                made = BINARY[call.op.name](*values)
            else:
                return None
        (source,) = sources.values()
        return Function(source, made, self._as_it_was(call))

    def _numbers(self, node: Any) -> tuple[Stored | None, Any] | None:
        """The map that a node is a function of (None: of none, it is one number) and its values."""
        if isinstance(node, relay.Constant):
            value = node.data.numpy()
            return (None, np.float64(value.item())) if value.size == 1 else None
        form = self._forms.get(node)
        if isinstance(form, Stored):
            return form, inputs_of(form)
        return (form.source, form.values) if isinstance(form, Function) else None


def _alike(one: Any, other: Any) -> bool:
    return shape_of(one) == shape_of(other)


def _weight(node: Any) -> tuple[NDArray[np.int8], Doubles] | None:
    """Numbers and scales, one an output channel, of marked weights; Relay's importer puts those of groups in
    another shape. None for others.
    """
    if is_call(node, "reshape"):
        found = _weight(node.args[0])
        shape = shape_of(node)
        same = found is not None and len(found[0]) == shape[0]
        return (found[0].reshape(shape), found[1]) if found and same else None
    if not is_call(node, markers.QUANTIZED_WEIGHT):
        return None
    values, scale = (arg.data.numpy() for arg in node.args)
    numbers = values.astype(np.int8)
    return numbers, np.broadcast_to(scale.astype(np.float64).reshape(-1), len(numbers))
