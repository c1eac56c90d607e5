# SPDX-License-Identifier: Apache-2.0
"""Constants worked out by numpy, and per-channel scales put into the weights of the convolution before them.

Takes a Relay module with weights bound; gives it typed, simpler. TVM's FoldConstant compiles every expression
it folds, which is most of an import; its FoldScaleAxis takes a gate (squeeze and excitation) for a constant.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import relay

from mnc.compile.frontend.expressions import children, in_order, is_call, shape_of

Array = np.ndarray[Any, np.dtype[Any]]

# The layout of the weights, whose O is the axis that scales go to.
WEIGHTS = {"nn.conv2d": "OIHW", "nn.conv2d_transpose": "IOHW", "nn.dense": "OI"}
RESHAPING = frozenset("reshape squeeze expand_dims nn.batch_flatten".split())
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "negative": np.negative,
    "sqrt": np.sqrt,
    "rsqrt": lambda value: 1 / np.sqrt(value),
}


def fold(mod: Any) -> Any:
    """The module with constant expressions worked out, and scales and shifts in the convolution before them.

    A convolution that something else reads as well keeps its weights.
    """
    mod = relay.transform.InferType()(mod)
    main = mod["main"]
    order = in_order(main.body)
    uses = Counter(argument for node in order for argument in children(node))
    uses[main.body] += 1
    folder = _Folder(uses)
    for node in order:
        folder.visit(node)
    function = relay.Function(main.params, folder.new[main.body])
    return relay.transform.InferType()(tvm.IRModule.from_expr(function))


class _Folder:
    """Visits the old graph in topological order; `new` has the new form of every node."""

    def __init__(self, uses: Counter[Any]) -> None:
        self._uses = uses
        self.new: dict[Any, Any] = {}
        self._own: set[Any] = set()  # new nodes that one other reads

    def visit(self, node: Any) -> None:
        """Give `node` its new form; what it reads has its own."""
        self.new[node] = made = self._made(node)
        if self._uses[node] == 1:
            self._own.add(made)

    def _made(self, node: Any) -> Any:
        if isinstance(node, relay.Tuple):
            return relay.Tuple([self.new[field] for field in node.fields])
        if isinstance(node, relay.TupleGetItem):
            return relay.TupleGetItem(self.new[node.tuple_value], node.index)
        if not isinstance(node, relay.Call):
            return node
        args = [self.new[argument] for argument in node.args]
        return (
            self._constant(node, args)
            or self._absorbed(node, args)
            or relay.Call(self.new[node.op], args, node.attrs, node.type_args, node.span)
        )

    def _constant(self, call: Any, args: list[Any]) -> Any:
        """What numpy makes of it, or None."""
        if not args or not all(isinstance(one, relay.Constant) for one in args):
            return None
        kind = call.checked_type
        if not isinstance(kind, relay.TensorType):
            return None
        value = _evaluate(call, [one.data.numpy() for one in args], shape_of(call))
        return None if value is None else relay.const(value.astype(kind.dtype), kind.dtype)

    def _absorbed(self, call: Any, args: list[Any]) -> Any:
        """A scale or a shift as a part of what it is applied to, or None."""
        name = getattr(call.op, "name", "")
        if name == "nn.bias_add":
            return self._biased(call, *args)
        if name not in ("add", "multiply") or not any(isinstance(a, relay.Constant) for a in args):
            return None
        data, constant = args if isinstance(args[1], relay.Constant) else reversed(args)
        value, shape = constant.data.numpy(), shape_of(call)
        if data not in self._own or not _by_channel(value, shape):
            return None
        return self._shifted(data, value) if name == "add" else self._scaled(data, value, shape)

    def _biased(self, call: Any, data: Any, bias: Any) -> Any:
        """As an addition, which is what shifts are added up with."""
        rank = len(shape_of(call))
        if not isinstance(bias, relay.Constant) or call.attrs.axis % rank != 1:
            return None
        shift = bias.data.numpy().reshape(-1, *(1,) * (rank - 2))
        if data in self._own and (merged := self._shifted(data, shift)) is not None:
            return merged
        return relay.add(data, relay.const(shift))

    def _shifted(self, data: Any, shift: Array) -> Any:
        if not is_call(data, "add") or not isinstance(data.args[1], relay.Constant):
            return None
        return relay.add(data.args[0], relay.const(data.args[1].data.numpy() + shift))

    def _scaled(self, data: Any, scale: Array, shape: tuple[int, ...]) -> Any:
        if is_call(data, "add") and isinstance(data.args[1], relay.Constant):
            inner, shift = data.args[0], data.args[1].data.numpy()
            scaled = self._scaled(inner, scale, shape) if inner in self._own else None
            return None if scaled is None else relay.add(scaled, relay.const(shift * scale))
        axis = _weights_axis(data, rank=len(shape))
        if axis is None:
            return None
        weights = data.args[1].data.numpy()
        along = [1] * weights.ndim
        along[axis] = -1
        scaled = weights * np.broadcast_to(scale.reshape(-1), shape[1:2]).reshape(along)
        return relay.Call(data.op, [data.args[0], relay.const(scaled)], data.attrs, data.type_args)


def _weights_axis(call: Any, *, rank: int) -> int | None:
    """Which axis of the constant weights of a convolution or dense layer is that of the result's channels."""
    layout = WEIGHTS.get(getattr(getattr(call, "op", None), "name", ""))
    if layout is None or not isinstance(call.args[1], relay.Constant) or rank != len(layout):
        return None
    if rank == 4 and (call.attrs.data_layout, call.attrs.kernel_layout) != ("NCHW", layout):
        return None
    if layout[0] == "I" and call.attrs.groups != 1:
        return None
    return layout.index("O")


def _evaluate(call: Any, values: list[Array], shape: tuple[int, ...]) -> Array | None:
    name, attrs = call.op.name, call.attrs
    if name in ARITHMETIC and values[0].dtype.kind == "f":
        with np.errstate(all="ignore"):  # as the compiled expression would
            return np.asarray(ARITHMETIC[name](*values))
    if name in RESHAPING:
        return values[0].reshape(shape)
    if name == "broadcast_to":
        return np.ascontiguousarray(np.broadcast_to(values[0], shape))
    if name == "cast":
        return values[0]
    order = _order(name, attrs)
    return None if order is None else np.ascontiguousarray(np.transpose(values[0], order))


def _order(name: str, attrs: Any) -> list[int] | None:
    """The order that an operator puts the axes in, where it does no more."""
    if name == "transpose" and attrs.axes:
        return [int(axis) for axis in attrs.axes]
    if name != "layout_transform":
        return None
    old, new = str(attrs.src_layout), str(attrs.dst_layout)
    plain = old.isalpha() and sorted(old) == sorted(new)
    return [old.index(axis) for axis in new] if plain else None


def _by_channel(value: Array, shape: tuple[int, ...]) -> bool:
    """Whether a constant varies over axis 1 of the result alone, or not at all."""
    full = (1,) * (len(shape) - value.ndim) + value.shape
    return len(full) == len(shape) >= 2 and all(
        extent == 1 or axis == 1 for axis, extent in enumerate(full)
    )
