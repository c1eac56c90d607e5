# SPDX-License-Identifier: Apache-2.0
"""Convolutions of one map whose results are added become one: what MobileOne and RepVGG train as branches.

Takes a Relay module as `constant_folding.fold` leaves it; gives it typed, with fewer convolutions. A map
that is only scaled by channel, and added, is a branch too.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relay

from mnc.compile.frontend.expressions import children, is_call

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class _Branch:
    """`call`, a convolution or a product by channel of `data`, with a `shift` added to it."""

    data: Any
    call: Any
    shift: Any

    @property
    def is_convolution(self) -> bool:
        return is_call(self.call, "nn.conv2d")


def merge(mod: Any) -> Any:
    """The module with such convolutions merged, wherever nothing else reads them."""
    mod = relay.transform.InferType()(mod)
    uses: Counter[Any] = Counter()
    relay.analysis.post_order_visit(mod["main"].body, lambda node: uses.update(children(node)))
    main = _Merger(uses).visit(mod["main"])
    return relay.transform.InferType()(tvm.IRModule.from_expr(main))


class _Merger(relay.ExprMutator):  # type: ignore[misc]
    def __init__(self, uses: Counter[Any]) -> None:
        super().__init__()
        self._uses = uses

    def visit_call(self, call: Any) -> Any:
        """A call in its new form; a merged one stands for a branch, which may be merged again."""
        made = super().visit_call(call)
        if not is_call(call, "add") or any(self._uses[one] != 1 for one in call.args):
            return made
        branches = [_branch(one) for one in made.args]
        first, second = sorted(branches, key=lambda one: one is None or not one.is_convolution)
        if first is None or second is None or not first.data.same_as(second.data):
            return made
        return _merged(first, second) or made


def _branch(node: Any) -> _Branch | None:
    """What `node` adds, as a branch; None where it is none."""
    shift = np.zeros((), np.float32)
    if is_call(node, "add") and isinstance(node.args[1], relay.Constant):
        node, shift = node.args[0], node.args[1].data.numpy()
    if not isinstance(node, relay.Call) or not isinstance(node.args[-1], relay.Constant):
        return None
    if node.args[-1].data.dtype != "float32":
        return None
    scaled = is_call(node, "multiply") and _is_by_channel(node.args[1].data.shape)
    plain = is_call(node, "nn.conv2d") and node.attrs.data_layout == "NCHW"
    return _Branch(node.args[0], node, shift) if plain or scaled else None


def _is_by_channel(shape: Any) -> bool:
    """Whether a factor of this shape, (C, 1, 1), is one number for each channel."""
    return len(shape) == 3 and list(shape[1:]) == [1, 1]


def _merged(first: _Branch, second: _Branch) -> Any:
    """One convolution and a shift; None where the two see other pixels, or neither is a convolution."""
    if not first.is_convolution:
        return None
    attrs, weights = first.call.attrs, first.call.args[1].data.numpy()
    other = _weights(second, attrs, weights)
    if other is None:
        return None
    larger = max(weights, other, key=lambda one: one.shape[2:])
    if larger is other:
        attrs = second.call.attrs
    total = _grown(weights, larger) + _grown(other, larger)
    made = relay.nn.conv2d(
        first.data,
        relay.const(total),
        strides=attrs.strides,
        padding=attrs.padding,
        groups=attrs.groups,
        channels=total.shape[0],
        kernel_size=total.shape[2:],
    )
    return relay.add(made, relay.const(first.shift + second.shift))


def _weights(branch: _Branch, attrs: Any, weights: Array) -> Array | None:
    """The branch's weights as those of a convolution with `attrs`, or None."""
    if not _is_centred(attrs, weights):
        return None
    if not branch.is_convolution:
        scale: Array = branch.call.args[1].data.numpy().reshape(-1)
        channels, inner = weights.shape[:2]
        if tuple(map(int, attrs.strides)) != (1, 1) or len(scale) != channels:
            return None
        if attrs.groups == channels and inner == 1:
            return scale.reshape(-1, 1, 1, 1)
        return np.diag(scale)[..., None, None] if attrs.groups == 1 and inner == channels else None
    own = branch.call.attrs
    values: Array = branch.call.args[1].data.numpy()
    same = list(own.strides) == list(attrs.strides) and own.groups == attrs.groups
    fits = same and values.shape[:2] == weights.shape[:2] and _is_centred(own, values)
    return values if fits else None


def _is_centred(attrs: Any, weights: Array) -> bool:
    """Whether the middle tap of the first window lies on the first pixel, so that all sizes agree."""
    height, width = weights.shape[2:]
    odd = height % 2 == width % 2 == 1
    padding = [int(one) for one in attrs.padding]
    undilated = all(int(one) == 1 for one in attrs.dilation) or (height, width) == (1, 1)
    return odd and undilated and padding == [height // 2, width // 2] * 2


def _grown(weights: Array, larger: Array) -> Array:
    """With zeros around the taps."""
    around = [(extent - own) // 2 for extent, own in zip(larger.shape, weights.shape, strict=True)]
    return np.pad(weights, [(one, one) for one in around])
