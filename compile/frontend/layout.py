# SPDX-License-Identifier: Apache-2.0
"""One layout for the whole network: Relay in NCHW becomes Relay in NCHW{b}c, b the target's float32 lanes.

Channels are padded with zeros to whole vectors and weights are packed here, by numpy, once. Nothing is left
for TVM's AlterOpLayout and FoldConstant, which spend most of a stock build on compiling those packings, and
no layout transform stands between two layers. An operator without a blocked form gets plain inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tvm
from tvm import relay

from mnc.compile.frontend import markers, packing, rounding
from mnc.compile.frontend.expressions import is_zero, rebuilt
from mnc.compile.templates import instructions, integer_depthwise

UNARY = frozenset(
    "nn.relu clip sigmoid tanh exp log erf negative abs sqrt rsqrt nn.leaky_relu nn.dropout cast"
    " copy reinterpret".split()
) | {rounding.NAME}
BINARY = frozenset("add subtract multiply divide maximum minimum".split())
POOLS = frozenset("nn.max_pool2d nn.avg_pool2d".split())
GLOBAL_POOLS = frozenset(
    "nn.global_avg_pool2d nn.global_max_pool2d nn.adaptive_avg_pool2d nn.adaptive_max_pool2d".split()
)
FLATTENING = frozenset("reshape nn.batch_flatten squeeze".split())


@dataclass(frozen=True)
class Value:
    """A tensor of the new graph. `shape` is its plain shape, (N, C, H, W) or (N, C).

    Blocked, `expr` is (N, C/b, H, W, b), and for a plain (N, C) it is (N, C/b, 1, 1, b); channels beyond C
    hold anything, NaN and Inf too (0 / 0, say): what reads across channels reads them as `_Rewriter.clean`.
    """

    expr: Any
    shape: tuple[int, ...]
    blocked: bool


def to_blocked(mod: Any, block: int) -> Any:
    """The module with its convolutions, and what stands between them, in NCHW{block}c.

    `mod` has typed, bound weights. A network with control flow comes back as it is.
    """
    mod = relay.transform.InferType()(mod)
    main = mod["main"]
    order: list[Any] = []
    relay.analysis.post_order_visit(main.body, order.append)
    known = (relay.Var, relay.Constant, relay.Call, relay.Tuple, relay.TupleGetItem, tvm.ir.Op)
    if not all(isinstance(node, known) for node in order):
        return mod
    rewriter = _Rewriter(block)
    for node in order:
        if not isinstance(node, tvm.ir.Op):
            rewriter.visit(node)
    body = rewriter.plain(main.body)
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(main.params, body)))


class _Rewriter:
    """Visits the old graph in topological order and keeps the new form of every node."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._values: dict[Any, Value] = {}
        self._plain: dict[Any, Any] = {}
        self._clean: dict[Any, Any] = {}
        self._handlers: dict[str, Callable[[Any], Value | None]] = {
            "nn.conv2d": self._convolution,
            "nn.dense": self._dense,
            "nn.bias_add": self._bias_add,
            "concatenate": self._concatenate,
            "nn.pad": self._pad,
            "nn.prelu": self._prelu,
            "image.resize2d": self._resize,
            "mean": self._mean,
            "sum": self._mean,
            "take": self._table,
            markers.INTEGER_CONVOLUTION: self._integer_convolution,
            **dict.fromkeys(UNARY, self._unary),
            **dict.fromkeys(BINARY, self._binary),
            **dict.fromkeys(POOLS, self._pool),
            **dict.fromkeys(GLOBAL_POOLS, self._pool),
            **dict.fromkeys(FLATTENING, self._flatten),
        }

    def visit(self, node: Any) -> None:
        """Give `node` its new form; its arguments have theirs."""
        value = None
        if isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op):
            handler = self._handlers.get(node.op.name)
            value = handler(node) if handler else None
        self._values[node] = value or Value(rebuilt(node, self.plain), _shape(node), blocked=False)

    def plain(self, node: Any) -> Any:
        """The node's new expression in the plain layout, unblocked once however often it is used."""
        value = self._values[node]
        if not value.blocked:
            return value.expr
        if node not in self._plain:
            self._plain[node] = self._unblock(value)
        return self._plain[node]

    def blocked(self, node: Any) -> Any:
        """The node's new expression in the blocked layout; a plain (N, C, H, W) is transformed."""
        value = self._values[node]
        if value.blocked:
            return value.expr
        missing = -value.shape[1] % self.block
        expr = value.expr
        if missing:
            expr = relay.nn.pad(expr, ((0, 0), (0, missing), (0, 0), (0, 0)))
        return relay.layout_transform(expr, "NCHW", f"NCHW{self.block}c")

    def clean(self, node: Any) -> Any:
        """As `blocked`, with zeros in the channels that only fill a vector: a convolution gives them weights
        of zero, and zero times NaN is NaN.
        """
        value = self._values[node]
        whole = value.shape[1] % self.block == 0
        if not value.blocked or whole or node.checked_type.dtype != "float32":
            return self.blocked(node)
        if node not in self._clean:
            # Ones rather than booleans, which neither exports nor the core model take.
            kept = packing.pack_vector(np.ones(value.shape[1], np.float32), self.block)
            zero = relay.const(np.zeros((), np.float32))
            cleaned = relay.where(relay.const(kept), value.expr, zero)
            self._clean[node] = cleaned
            # Whoever comes later reads it too: with one reader, what made the map does this as well.
            self._values[node] = replace(value, expr=cleaned)
        return self._clean[node]

    def _unblock(self, value: Value) -> Any:
        channels = value.shape[1]
        padded = channels + -channels % self.block
        if all(extent == 1 for extent in value.shape[2:]):
            # One pixel: the channels lie in order already.
            expr = relay.reshape(value.expr, (value.shape[0], padded, *value.shape[2:]))
        else:
            expr = relay.layout_transform(value.expr, f"NCHW{self.block}c", "NCHW")
        if padded == channels:
            return expr
        return relay.strided_slice(expr, [0], [channels], axes=[1])

    def _is_blocked(self, node: Any) -> bool:
        return self._values[node].blocked

    def _convolution(self, call: Any) -> Value | None:
        kind = packing.convolution_kind(call)
        if kind is None:
            return None
        data, weight = call.args[0], call.args[1].data.numpy()
        # Relay has (C, multiplier, KH, KW) where a channel gives several.
        weight = weight.reshape(_shape(call)[1], -1, *weight.shape[2:])
        attrs = {name: call.attrs[name] for name in ("strides", "padding", "dilation")}
        if weight.shape[2:] == (1, 1):
            attrs["dilation"] = (1, 1)
        attrs |= {"kernel_size": weight.shape[2:], "out_layout": f"NCHW{self.block}c"}
        channels = weight.shape[0] + -weight.shape[0] % self.block
        if kind == "depthwise":
            packed = relay.const(packing.pack_depthwise(weight, self.block))
            expr = relay.nn.contrib_depthwise_conv2d_nchwc(
                self.blocked(data),
                packed,
                groups=channels,
                channels=channels,
                data_layout=f"NCHW{self.block}c",
                kernel_layout=f"OIHW1i{self.block}o",
                **attrs,
            )
            return Value(expr, _shape(call), blocked=True)
        source, in_block = self._convolution_input(data)
        groups = int(call.attrs.groups)
        if groups > 1:
            weight, groups = packing.merge_groups(
                weight, groups, in_block=in_block, out_block=self.block
            )
        packed = relay.const(packing.pack_convolution(weight, in_block, self.block))
        expr = relay.nn.contrib_conv2d_nchwc(
            source,
            packed,
            groups=groups,
            channels=channels,
            data_layout=f"NCHW{in_block}c",
            kernel_layout=f"OIHW{in_block}i{self.block}o",
            **attrs,
        )
        return Value(expr, _shape(call), blocked=True)

    def _convolution_input(self, data: Any, group: int = 1) -> tuple[Any, int]:
        """An image of few channels is read as NCHW1c, which is the same bytes, or in the fewest whole
        `group`s; others are blocked.
        """
        value = self._values[data]
        channels = value.shape[1]
        if value.blocked or channels >= self.block:
            return self.clean(data), self.block
        if group == 1:
            return relay.reshape(value.expr, (*value.shape, 1)), 1
        missing = -channels % group
        filled = relay.nn.pad(value.expr, ((0, 0), (0, missing), (0, 0), (0, 0)))
        layout = f"NCHW{channels + missing}c"
        return relay.layout_transform(filled, "NCHW", layout), channels + missing

    def _integer_convolution(self, call: Any) -> Value:
        data, weight, attrs = call.args[0], call.args[1].data.numpy(), call.attrs
        groups, per_group = int(attrs["groups"]), weight.shape[1]
        fit = instructions.fit(weight)
        weight = weight if fit else weight.astype(np.int16)  # for which there are plain vectors
        names = ("strides", "padding", "dilation", "pad_value")
        kept = {name: attrs[name] for name in names}
        if per_group == 1 and 1 < groups == weight.shape[0]:
            source, packed = self.blocked(data), packing.pack_depthwise(weight, self.block)
            if integer_depthwise.fits(_shape(data)[3], attrs["dilation"]):
                packed = packing.in_groups(packed, 1)
        else:
            plain = [int(v) for v in (*attrs["strides"], *attrs["padding"])] == [1, 1, 0, 0, 0, 0]
            one_to_one = weight.shape[2:] == (1, 1) and plain and groups == 1
            group = instructions.weight_group(pointwise=one_to_one) if fit else 1
            source, in_block = self._convolution_input(data, group)
            if groups > 1:
                weight, groups = packing.merge_groups(
                    weight, groups, in_block=in_block, out_block=self.block
                )
            packed = packing.pack_convolution(weight, in_block, self.block)
            if group > 1 and in_block % group == 0:
                packed = packing.in_groups(packed, group)
                source = _bordered(source, kept, data.checked_type.dtype)
                kept["padding"] = (0, 0, 0, 0)
        expr = markers.convolution(source, relay.const(packed), blocked=True, groups=groups, **kept)
        return Value(expr, _shape(call), blocked=True)

    def _table(self, call: Any) -> Value | None:
        """A table looked up for each number."""
        table, data = call.args
        if not self._is_blocked(data) or not isinstance(table, relay.Constant):
            return None
        if len(table.data.shape) != 1:
            return None
        return Value(relay.take(table, self.blocked(data), mode="fast"), _shape(call), blocked=True)

    def _dense(self, call: Any) -> Value | None:
        """On a blocked vector a dense layer is a pointwise convolution of one pixel."""
        data, weight = call.args
        if not self._is_blocked(data) or not isinstance(weight, relay.Constant):
            return None
        if len(self._values[data].shape) != 2:
            return None
        values = weight.data.numpy()[:, :, None, None]
        expr = relay.nn.contrib_conv2d_nchwc(
            self.clean(data),
            relay.const(packing.pack_convolution(values, self.block, self.block)),
            channels=values.shape[0] + -values.shape[0] % self.block,
            kernel_size=(1, 1),
            data_layout=f"NCHW{self.block}c",
            kernel_layout=f"OIHW{self.block}i{self.block}o",
            out_layout=f"NCHW{self.block}c",
        )
        return Value(expr, _shape(call), blocked=True)

    def _unary(self, call: Any) -> Value | None:
        data = call.args[0]
        if not self._is_blocked(data):
            return None
        expr = relay.Call(call.op, [self.blocked(data)], call.attrs)
        return Value(expr, _shape(call), blocked=True)

    def _bias_add(self, call: Any) -> Value | None:
        data, bias = call.args
        if not self._is_blocked(data) or not isinstance(bias, relay.Constant):
            return None
        if int(call.attrs.axis) % len(_shape(call)) != 1:
            return None
        packed = packing.pack_vector(bias.data.numpy(), self.block)
        expr = relay.add(self.blocked(data), relay.const(packed))
        return Value(expr, _shape(call), blocked=True)

    def _binary(self, call: Any) -> Value | None:
        shape = _shape(call)
        if not any(self._is_blocked(arg) for arg in call.args):
            return None
        args = [self._operand(arg, shape) for arg in call.args]
        if any(arg is None for arg in args):
            return None
        if call.op.name == "divide" and (inverse := _inverse(call.args[1])) is not None:
            # A vector's division takes as long as five to ten products; hard swish has one a value.
            return Value(relay.multiply(args[0], inverse), shape, blocked=True)
        return Value(relay.Call(call.op, args, call.attrs), shape, blocked=True)

    def _operand(self, node: Any, shape: tuple[int, ...]) -> Any:
        """An operand in a form that broadcasts against the blocked `shape`, or None."""
        value = self._values[node]
        if isinstance(node, relay.Constant):
            packed = packing.pack_operand(node.data.numpy(), shape, self.block)
            return None if packed is None else relay.const(packed)
        same_channels = len(value.shape) == len(shape) and value.shape[1] == shape[1]
        if value.blocked or (same_channels and len(shape) == 4):
            return self.blocked(node) if same_channels else None
        return None

    def _pool(self, call: Any) -> Value | None:
        data = call.args[0]
        if not self._is_blocked(data) or call.attrs.layout != "NCHW":
            return None
        layout = f"NCHW{self.block}c"
        attrs = {key: call.attrs[key] for key in call.attrs.keys()}  # noqa: SIM118 - not a dict
        attrs |= {"layout": layout, "out_layout": layout}
        make = getattr(relay.nn, call.op.name.removeprefix("nn."))
        return Value(make(self.blocked(data), **attrs), _shape(call), blocked=True)

    def _resize(self, call: Any) -> Value | None:
        data = call.args[0]
        if not self._is_blocked(data) or call.attrs.layout != "NCHW":
            return None
        attrs = {key: call.attrs[key] for key in call.attrs.keys()}  # noqa: SIM118 - not a dict
        attrs["layout"] = f"NCHW{self.block}c"
        expr = relay.image.resize2d(self.blocked(data), **attrs)
        return Value(expr, _shape(call), blocked=True)

    def _pad(self, call: Any) -> Value | None:
        """Further channels are zeros in the lanes that only filled a vector, and in whole blocks."""
        data, value = call.args
        widths = [tuple(int(width) for width in axis) for axis in call.attrs.pad_width]
        if not self._is_blocked(data) or len(widths) != 4 or widths[0] != (0, 0) or widths[1][0]:
            return None
        old, new = self._values[data].shape[1], _shape(call)[1]
        zeros = call.attrs.pad_mode == "constant" and is_zero(value)
        if new > old and not zeros:
            return None
        blocks = -(-new // self.block) - -(-old // self.block)
        padded = relay.nn.pad(
            self.clean(data) if new > old else self.blocked(data),
            [(0, 0), (0, blocks), *widths[2:], (0, 0)],
            value,
            pad_mode=call.attrs.pad_mode,
        )
        return Value(padded, _shape(call), blocked=True)

    def _prelu(self, call: Any) -> Value | None:
        data, slope = call.args
        if not self._is_blocked(data) or not isinstance(slope, relay.Constant):
            return None
        if call.attrs.axis != 1:
            return None
        channels = slope.data.numpy().reshape(1, -1, *(1,) * (len(_shape(call)) - 2))
        packed = packing.pack_operand(channels, _shape(call), self.block)
        if packed is None:
            return None
        expr, zero = self.blocked(data), relay.const(np.zeros((), np.float32))
        below = relay.multiply(relay.const(packed), relay.minimum(expr, zero))
        return Value(relay.add(relay.maximum(expr, zero), below), _shape(call), blocked=True)

    def _mean(self, call: Any) -> Value | None:
        data = call.args[0]
        if not self._is_blocked(data) or call.attrs.exclude or call.attrs.axis is None:
            return None
        if {int(a) % 4 for a in call.attrs.axis} != {2, 3} or len(self._values[data].shape) != 4:
            return None
        reduce = relay.sum if call.op.name == "sum" else relay.mean
        expr = reduce(self.blocked(data), axis=[2, 3], keepdims=True)
        return Value(expr, _shape(call), blocked=True)

    def _flatten(self, call: Any) -> Value | None:
        """(N, C, 1, 1) and (N, C) hold the same bytes in the same order, blocked too."""
        data = call.args[0]
        old, new = self._values[data].shape, _shape(call)
        one_pixel = all(extent == 1 for extent in (*old[2:], *new[2:]))
        if not self._is_blocked(data) or old[:2] != new[:2] or not one_pixel:
            return None
        if len(new) not in (2, 4):
            return None
        return Value(self.blocked(data), new, blocked=True)

    def _concatenate(self, call: Any) -> Value | None:
        parts = getattr(call.args[0], "fields", ())
        if call.attrs.axis not in (1, -3) or not all(self._is_blocked(part) for part in parts):
            return None
        shapes = [self._values[part].shape for part in parts]
        if any(len(shape) != 4 or shape[1] % self.block for shape in shapes):
            return None
        joined = relay.concatenate([self.blocked(part) for part in parts], axis=1)
        return Value(joined, _shape(call), blocked=True)


def _bordered(source: Any, attrs: Any, dtype: str) -> Any:
    """Blocked `source` of this type with the border around it that a convolution's `padding` asks for."""
    top, left, bottom, right = (int(pad) for pad in attrs["padding"])
    if not (top or left or bottom or right):
        return source
    value = relay.const(np.asarray(int(attrs["pad_value"]), dtype))
    return relay.nn.pad(source, [(0, 0), (0, 0), (top, bottom), (left, right), (0, 0)], value)


def _inverse(node: Any) -> Any:
    """One over a number of ordinary size, as a constant; None for anything else."""
    if not isinstance(node, relay.Constant) or node.checked_type.dtype != "float32":
        return None
    value = node.data.numpy()
    if value.size != 1 or not 1e-9 < abs(float(value.item())) < 1e9:
        return None
    return relay.const(np.asarray(1 / value.item(), np.float32))


def _shape(node: Any) -> tuple[int, ...]:
    """A tensor's shape; () for a tuple, which is never blocked."""
    kind = node.checked_type
    if not isinstance(kind, relay.TensorType):
        return ()
    dims = [int(d) if isinstance(d, tvm.tir.IntImm) else -1 for d in kind.shape]
    return tuple(np.array(dims, dtype=int).tolist())
