# SPDX-License-Identifier: Apache-2.0
"""One layout for the whole network: Relay in NCHW becomes Relay in NCHW{b}c, b the target's float32 lanes.

Channels are padded with zeros to whole vectors and weights are packed here, by numpy, once. Nothing is left
for TVM's AlterOpLayout and FoldConstant, which spend most of a stock build on compiling those packings, and
no layout transform stands between two layers. An operator without a blocked form gets plain inputs.
"""

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relay

from mnc.compile.frontend import blocked_convolutions, blocked_integers, markers, rounding
from mnc.compile.frontend import blocked_operators as operators
from mnc.compile.frontend.blocked_values import BlockedValues, Value, plain_shape
from mnc.compile.frontend.expressions import dataflow, rebuilt

Handler = Callable[[BlockedValues, Any], Value | None]
UNARY = frozenset(
    "nn.relu clip sigmoid tanh exp log erf negative abs sqrt rsqrt nn.leaky_relu nn.dropout cast"
    " copy reinterpret".split()
) | set(rounding.NAMES)
BINARY = frozenset("add subtract multiply divide maximum minimum".split())
POOLS = frozenset("nn.max_pool2d nn.avg_pool2d".split())
GLOBAL_POOLS = frozenset(
    "nn.global_avg_pool2d nn.global_max_pool2d nn.adaptive_avg_pool2d nn.adaptive_max_pool2d".split()
)
FLATTENING = frozenset("reshape nn.batch_flatten squeeze".split())
HANDLERS: dict[str, Handler] = {
    "nn.conv2d": blocked_convolutions.convolution,
    "nn.dense": blocked_convolutions.dense,
    markers.INTEGER_CONVOLUTION: blocked_integers.convolution,
    "take": blocked_integers.table,
    "nn.bias_add": operators.bias_add,
    "concatenate": operators.concatenate,
    "nn.pad": operators.pad,
    "nn.prelu": operators.prelu,
    "image.resize2d": operators.resize,
    "mean": operators.mean,
    "sum": operators.mean,
    **dict.fromkeys(UNARY, operators.unary),
    **dict.fromkeys(BINARY, operators.binary),
    **dict.fromkeys(POOLS | GLOBAL_POOLS, operators.pool),
    **dict.fromkeys(FLATTENING, operators.flatten),
}


def to_blocked(mod: Any, block: int) -> Any:
    """The module with its convolutions, and what stands between them, in NCHW{block}c.

    `mod` has typed, bound weights. A network with control flow comes back as it is.
    """
    mod = relay.transform.InferType()(mod)
    main = mod["main"]
    nodes = dataflow(main.body)
    if nodes is None:
        return mod
    values = BlockedValues(block)
    for node in nodes:
        values[node] = _laid_out(values, node)
    body = values.plain(main.body)
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(main.params, body)))


def _laid_out(values: BlockedValues, node: Any) -> Value:
    """The new form of `node`, whose arguments have theirs."""
    if isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op):
        handler = HANDLERS.get(node.op.name)
        if handler and (value := handler(values, node)):
            return value
    return Value(rebuilt(node, values.plain), plain_shape(node), blocked=False)
