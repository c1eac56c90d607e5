# SPDX-License-Identifier: Apache-2.0
"""A convolution with the constant added to it and the activation after that, as Relay has them.

Takes the last of their expressions; gives the parts, for operators of our own that do all of them.
"""

from dataclasses import dataclass
from typing import Any

from tvm import relay

from mnc.compile.frontend.expressions import is_call
from mnc.compile.templates import blocked

# Bounds, and the activation that they are: of a network in half precision no map holds more than its largest.
CLIPS = {(0.0, 6.0): "relu6", (0.0, blocked.LARGEST_HALF): "relu"}


@dataclass(frozen=True)
class Biased:
    """`sums` is the addition of the bias, one number a channel; `activation` what follows it."""

    convolution: Any
    bias: Any
    sums: Any
    activation: str


def biased(node: Any) -> Biased | None:
    """What `node` is the last of."""
    activation, sums = _activation(node)
    if not is_call(sums, "add") or not isinstance(sums.args[1], relay.Constant):
        return None
    convolution, bias = sums.args
    if not is_call(convolution, "nn.contrib_conv2d_NCHWc"):
        return None
    channels, block = convolution.args[1].data.shape[0], convolution.args[1].data.shape[5]
    if tuple(bias.data.shape) != (1, channels, 1, 1, block):
        return None
    return Biased(convolution, bias, sums, activation)


def _activation(node: Any) -> tuple[str, Any]:
    """The activation's name and what it is applied to."""
    if is_call(node, "nn.relu"):
        return "relu", node.args[0]
    bounds = (node.attrs.a_min, node.attrs.a_max) if is_call(node, "clip") else ()
    if bounds in CLIPS:
        return CLIPS[bounds], node.args[0]
    return "none", node
