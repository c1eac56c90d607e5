# SPDX-License-Identifier: Apache-2.0
"""How far sums of products in half precision are off, by how they are added.

Takes a convolution or dense layer of a graph, with what it read; gives the errors of some of its outputs,
each way emulated: a fused multiply-add rounds once, to float16.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from mnc.model.half_precision.report import Sums
from mnc.model.quantization import graph

BLOCK = 256  # products, of which the blocks' sums are
LARGEST = float(torch.finfo(torch.float16).max)
CHANNELS, PIXELS = 16, 64  # that are looked at


def errors(module: fx.GraphModule, node: fx.Node, data: Tensor) -> tuple[int, Sums]:
    """Products in a sum, and the errors, for the layer `node` (`kinds.is_layer`) that reads `data`."""
    weight = graph.constant(module, node.args[1])
    values, taps = (some.double() for some in _operands(node, data, weight))
    truth = (values * taps).sum(1)
    halves, weights = values.half().float(), taps.half().float()
    count = halves.shape[1]
    products = halves * weights  # exact in float32
    found = Sums(
        at_once=_error(truth, _added(products)),
        by_blocks=_error(truth, _added(_blocks(products))),
        in_float32=_error(truth, products.sum(1)),
    )
    return count, found


def _operands(node: fx.Node, data: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """What some outputs (channels O, pixels P) are sums of: inputs (O, K, P) and weights (O, K, 1)."""
    chosen = torch.arange(0, len(weight), max(1, len(weight) // CHANNELS))
    if weight.dim() == 2:
        rows = data.reshape(-1, data.shape[-1])[:PIXELS].T
        return rows.expand(len(chosen), *rows.shape), weight[chosen, :, None]
    attrs = attributes(node)
    patches = F.unfold(data[:1], weight.shape[2:], **{k: attrs[k] for k in WINDOW})[0]
    patches = patches[:, :: max(1, patches.shape[1] // PIXELS)]
    groups = patches.reshape(attrs["groups"], -1, patches.shape[1])
    own = chosen // (len(weight) // attrs["groups"])
    return groups[own], weight[chosen].flatten(1)[..., None]


WINDOW = ("stride", "padding", "dilation")


def attributes(node: fx.Node) -> dict[str, Any]:
    """Stride, padding, dilation and groups of a call of a convolution."""
    schema = node.target._schema  # type: ignore[union-attr]
    named = dict(zip((one.name for one in schema.arguments), node.args, strict=False))
    return {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | named | dict(node.kwargs)


def _added(products: Tensor) -> Tensor:
    """(O, K, P) to (O, P): one after another, each sum rounded."""
    total = torch.zeros_like(products[:, 0])
    for at in range(products.shape[1]):
        total = (total + products[:, at]).half().float()
    return total


def _blocks(products: Tensor) -> Tensor:
    """The sums of the blocks, each begun at zero."""
    return torch.stack([_added(one) for one in torch.split(products, BLOCK, dim=1)], dim=1)


def _error(truth: Tensor, found: Tensor) -> float:
    """Finite, as what is beyond the range is stored as its end."""
    kept = found.half().double().nan_to_num(nan=LARGEST).clamp(-LARGEST, LARGEST)
    off = kept - truth
    scale = float(truth.square().mean())
    return float(off.square().mean() / scale) ** 0.5 if scale else 0.0
