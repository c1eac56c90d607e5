# SPDX-License-Identifier: Apache-2.0
"""The tensors of a network that is being laid out: each in the form it was made in, and in those others read.

Takes a typed node of the plain graph; gives its new expression, plain (N, C, H, W) or blocked
(N, C/b, H, W, b), transformed once however often it is read.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tvm
from tvm import relay

from mnc.compile.frontend import packing
from mnc.compile.templates.blocked import FLOATS


@dataclass(frozen=True)
class Value:
    """A tensor of the new graph. `shape` is its plain shape, (N, C, H, W) or (N, C).

    Blocked, `expr` is (N, C/b, H, W, b), and for a plain (N, C) it is (N, C/b, 1, 1, b); channels beyond C
    hold anything, NaN and Inf too (0 / 0, say): what reads across channels reads `BlockedValues.clean`.
    """

    expr: Any
    shape: tuple[int, ...]
    blocked: bool


class BlockedValues:
    """By node of the plain graph; `block` is the number of channels in a vector."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._values: dict[Any, Value] = {}
        self._plain: dict[Any, Any] = {}
        self._clean: dict[Any, Any] = {}

    def __getitem__(self, node: Any) -> Value:
        return self._values[node]

    def __setitem__(self, node: Any, value: Value) -> None:
        self._values[node] = value

    def is_blocked(self, node: Any) -> bool:
        """Whether the node was made in the blocked layout."""
        return self._values[node].blocked

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
        if not value.blocked or whole or node.checked_type.dtype not in FLOATS:
            return self.blocked(node)
        if node not in self._clean:
            # Ones rather than booleans, which neither exports nor the core model take.
            kept = packing.pack_vector(np.ones(value.shape[1], np.float32), self.block)
            zero = relay.const(np.zeros((), node.checked_type.dtype))
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


def plain_shape(node: Any) -> tuple[int, ...]:
    """A tensor's shape; () for a tuple, which is never blocked."""
    kind = node.checked_type
    if not isinstance(kind, relay.TensorType):
        return ()
    dims = [int(d) if isinstance(d, tvm.tir.IntImm) else -1 for d in kind.shape]
    return tuple(np.array(dims, dtype=int).tolist())
