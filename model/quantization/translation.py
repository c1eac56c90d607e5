# SPDX-License-Identifier: Apache-2.0
"""What the forms in which PyTorch quantizes have in common, on the way to our two markers.

Takes an operator's call as a trace has it, with its values; puts a marker, or marked weights, into the graph.
What has no place in 8 bits as we store them is a UserError.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, fx

from mnc.model.quantization import operators
from mnc.support.errors import UserError

LEAST_WEIGHT = -operators.LARGEST_WEIGHT - 1  # of other tools', which use all of a byte
TYPES = {torch.quint8: (0, 255), torch.qint8: (-128, 127)}


class Graph(Protocol):
    """Where nodes are put."""

    def call(self, target: Any, *args: Any, like: Tensor) -> fx.Node:
        """A call of an operator whose result has the shape of `like`."""

    def constant(self, tensor: Tensor) -> fx.Node:
        """A tensor of the network."""


@dataclass(frozen=True)
class Call:
    """An operator's call in a trace: the values of its arguments and its (first) result, as PyTorch works
    them out; `argument` gives what stands for an argument in the graph. `variable`: it depends on the inputs.
    """

    kind: str
    values: list[Any]
    result: Any
    argument: Callable[[int], Any]
    variable: bool


# Gives what stands for the result; None where that is a constant.
Rule = Callable[[Graph, Call], fx.Node | None]


def stored(
    graph: Graph, x: fx.Node, scale: float, zero_point: int, bounds: tuple[int, int], like: Tensor
) -> fx.Node:
    """`x` in 8 bits: those of `bounds`, the lowest and the highest number, of which fewer than 256 are a
    clamp before. Signed ones are moved up by 128.
    """
    offset = 128 if bounds[0] < 0 else 0
    least, most, zero = bounds[0] + offset, bounds[1] + offset, zero_point + offset
    if not 0 <= least < most <= operators.MOST or not 0 <= zero <= operators.MOST:
        raise UserError(
            f"it stores a map as numbers of {bounds[0]} to {bounds[1]} with zero at {zero_point}, and maps "
            "are stored in 8 bits that hold zero; quantize it in 8 bits"
        )
    scale = float(torch.tensor(scale, dtype=torch.float32))
    if (least, most) != (operators.LEAST, operators.MOST):
        ends = ((least - zero) * scale, (most - zero) * scale)
        x = graph.call(torch.ops.aten.clamp.default, x, *ends, like=like)
    return graph.call(torch.ops.mnc.fake_quantize.default, x, scale, zero, like=like)


def weights(graph: Graph, real: Tensor, scale: Tensor, *, axis: int = 0) -> fx.Node | None:
    """Weights that are whole steps of `scale`, one for all or one for each of `axis`, as marked ones; None
    for a vector, such as a bias, and where the axis is not that of output channels: these are floats.

    Of a channel with a zero point the steps may need 9 bits: it is rounded anew, to 8 around zero, as torch's
    own `convert` does; the node's meta counts such channels as "rounded".
    """
    if real.dim() < 2 or (scale.numel() > 1 and axis != 0):
        return None
    each = scale.detach().float().reshape(-1).expand(real.shape[0]).contiguous()
    each = torch.where(each > 0, each, torch.ones_like(each))
    rows = real.detach().double().flatten(1)
    steps = (rows / each.double()[:, None]).round()
    largest = steps.abs().amax(1)
    if float(largest.max()) > operators.MOST:
        raise UserError(
            f"its weights of {tuple(real.shape)} have {float(largest.max()):g} steps, and weights are stored "
            "in 8 bits; quantize them so"
        )
    wide = (steps < LEAST_WEIGHT).any(1) | (steps > operators.LARGEST_WEIGHT).any(1)
    each = torch.where(wide, (rows.abs().amax(1) / operators.LARGEST_WEIGHT).float(), each)
    steps = (rows / each.double()[:, None]).round().reshape(real.shape)
    values, scales = graph.constant(steps.to(torch.int8)), graph.constant(each)
    made = graph.call(torch.ops.mnc.quantized_weight.default, values, scales, like=real)
    made.meta["rounded"] = int(wide.sum())
    return made


def is_dynamic(kind: str) -> UserError:
    """Of scales that each input decides."""
    return UserError(
        f"it is quantized dynamically ({kind}): its scales are not known before it runs; quantize it "
        "statically, or give the float network with --precision int8"
    )
