# SPDX-License-Identifier: Apache-2.0
"""Biases that make up for weights rounded to halves, which costs nothing when the network runs.

Takes a convolution or dense layer of a graph, with the means of what it read; gives its bias in half
precision: what rounding takes from a channel's outputs on average is added to it.
"""

from collections.abc import Collection

import torch
from torch import Tensor, fx

from mnc.model.half_precision import sums
from mnc.model.quantization import graph, kinds


def means(node: fx.Node, data: Tensor) -> Tensor:
    """Of each channel (C,) of the map (N, C, H, W) or the rows (..., C) that the layer `node` reads."""
    channels = data.movedim(1, -1) if data.dim() == 4 else data
    return channels.reshape(-1, channels.shape[-1]).double().mean(0)


def is_in_half(module: fx.GraphModule, node: fx.Node, kept_float: Collection[str]) -> bool:
    """Whether `node` is a layer with a bias whose sums are in half precision: neither it nor what it reads is
    kept in float32, and its weights fit.
    """
    if not kinds.is_layer(node, module) or len(node.args) < 3 or node.args[2] is None:
        return False
    fits = bool((graph.constant(module, node.args[1]).abs() <= sums.LARGEST).all())
    return fits and not {one.meta["name"] for one in (node, node.all_input_nodes[0])} & set(
        kept_float
    )


def corrected(module: fx.GraphModule, node: fx.Node, read: Tensor) -> Tensor:
    """The bias (O,) of a layer that `is_in_half` and reads channels of the means `read`; padding is taken for
    map.
    """
    weight = graph.constant(module, node.args[1])
    lost = (weight.double() - weight.half().double()).reshape(*weight.shape[:2], -1).sum(2)
    groups = sums.attributes(node)["groups"] if weight.dim() == 4 else 1
    rows = read.reshape(groups, -1).repeat_interleave(len(weight) // groups, 0)
    own = graph.constant(module, node.args[2]).double()
    return (own + (lost * rows).sum(1)).float()


def put(module: fx.GraphModule, node: fx.Node, bias: Tensor) -> None:
    """Let the layer `node` add `bias` in half precision; in float32 it adds its own still."""
    name = f"in_half_{len(list(module.buffers()))}"
    module.register_buffer(name, bias)
    with module.graph.inserting_before(node):
        there = module.graph.get_attr(name)
        chosen = module.graph.call_function(torch.ops.mnc.in_half.default, (node.args[2], there))
    chosen.meta = {"name": name, "shape": tuple(bias.shape)}
    node.args = (*node.args[:2], chosen, *node.args[3:])
