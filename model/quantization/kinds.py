# SPDX-License-Identifier: Apache-2.0
"""What kinds of operators there are to quantization, of a graph of ATen calls.

Takes nodes; says whether one is a layer, a clamp, element-wise, a sum, a product, a mean of a whole map, or
only moves values.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

CONVOLUTIONS = {"_convolution", "convolution", "conv2d"}
ELEMENTWISE = set(
    "relu relu6 hardtanh clamp clamp_min clamp_max hardswish hardsigmoid sigmoid silu tanh gelu leaky_relu"
    " elu selu celu softplus mish abs neg exp softsign hardshrink softshrink erf threshold sign square floor"
    " ceil rsub".split()
)
BINARY = {"add", "sub", "mul", "div", "rsub", "minimum", "maximum"}
MOVES = set(
    "reshape view flatten _unsafe_view squeeze unsqueeze permute transpose t slice select narrow max_pool2d"
    " upsample_nearest2d channel_shuffle pixel_shuffle expand chunk split split_with_sizes getitem repeat"
    " flip".split()
)
PADS = {"pad", "constant_pad_nd"}


def kind(node: fx.Node) -> str:
    """The operator's name, as "relu"; "" for what is no call of one."""
    return name_of(node.target) if node.op == "call_function" else ""


def name_of(target: Any) -> str:
    """The name of an operator, without its overload's."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return str(getattr(target, "__name__", ""))
    return str(schema.name).partition("::")[2]


def is_layer(node: fx.Node, module: fx.GraphModule) -> bool:
    """Whether it is a convolution in two dimensions or a dense layer of constant weights."""
    name = kind(node)
    if name not in CONVOLUTIONS and name != "linear":
        return False
    source, weight, bias = (*node.args, None)[:3]
    constants = [one for one in (weight, bias) if isinstance(one, fx.Node)]
    if weight not in constants or any(one.op != "get_attr" for one in constants):
        return False
    if not isinstance(source, fx.Node) or source.op == "get_attr":
        return False
    values = [getattr(module, str(one.target)) for one in constants]
    usable = all(one.dtype == torch.float32 and bool(torch.isfinite(one).all()) for one in values)
    transposed = name in {"_convolution", "convolution"} and bool(node.args[6])
    rank = 2 if name == "linear" else 4
    return usable and not transposed and values[0].dim() == rank == len(node.meta["shape"])


def bounds(node: fx.Node) -> tuple[float, float] | None:
    """(least, most) of a clamp by numbers; None for any other operator."""
    return bounds_of(kind(node), node.args[1:])


def bounds_of(name: str, given: Sequence[Any]) -> tuple[float, float] | None:
    """As `bounds`, of an operator by its name and its further arguments."""
    given = list(given)
    if name == "relu":
        return 0.0, math.inf
    if name == "relu6":
        return 0.0, 6.0
    least: Any
    most: Any
    if name == "hardtanh":
        least, most = given + [-1.0, 1.0][len(given) :]
    elif name == "clamp":
        least, most = given + [None, None][len(given) :]
    elif name in {"clamp_min", "clamp_max"}:
        least, most = (given[0], None) if name == "clamp_min" else (None, given[0])
    else:
        return None
    ends = (-math.inf if least is None else least, math.inf if most is None else most)
    if not all(isinstance(one, int | float) for one in ends):
        return None
    return float(ends[0]), float(ends[1])


def is_elementwise(node: fx.Node) -> bool:
    """Whether each value that it gives depends on one value of one tensor, as by a function of a number."""
    name, reads = kind(node), node.all_input_nodes
    if len(reads) != 1 or reads[0].meta["shape"] != node.meta["shape"]:
        return False
    if name == "div":
        return node.args[0] is reads[0] and "rounding_mode" not in node.kwargs
    if name == "pow":
        return node.args[0] is reads[0] and node.args[1] in {2, 3}
    return name in ELEMENTWISE or name in BINARY


def is_sum(node: fx.Node) -> bool:
    """Whether it adds two maps of one shape."""
    plain = bool(node.kwargs.get("alpha", 1) == 1)
    return plain and _of_two_maps(node, "add") and _alike(node)


def is_product(node: fx.Node) -> bool:
    """Whether it multiplies two maps, one perhaps of a single value a channel."""
    return _of_two_maps(node, "mul")


def is_mean(node: fx.Node) -> bool:
    """Whether it is the mean of each channel's whole map."""
    source = node.args[0] if node.args else None
    rank = len(source.meta["shape"]) if isinstance(source, fx.Node) else 0
    return rank == 4 and is_whole_mean(kind(node), node.args[1:])


def is_whole_mean(name: str, given: Sequence[Any]) -> bool:
    """As `is_mean`, of an operator on four dimensions by its name and its further arguments."""
    if name == "adaptive_avg_pool2d":
        return set(given[0]) == {1}
    axes = given[0] if name == "mean" and given else None
    return isinstance(axes, list | tuple) and sorted(one % 4 for one in axes) == [2, 3]


def is_move(node: fx.Node) -> bool:
    """Whether its output holds values of its input, and zeros at most."""
    name = kind(node)
    if len(node.all_input_nodes) != 1 or node.args[0] is not node.all_input_nodes[0]:
        return False
    return name in MOVES or is_zero_pad(name, node.args[2:])


def is_zero_pad(name: str, given: Sequence[Any]) -> bool:
    """Whether an operator, by its name and its arguments after the sizes, fills with zeros at most."""
    if name == "constant_pad_nd":
        return not given or not given[0]
    if name != "pad":
        return False
    return not given or given[0] != "constant" or len(given) < 2 or not given[1]


def is_concatenation(node: fx.Node) -> bool:
    """Whether it puts tensors one after another, none of them a constant."""
    return kind(node) in {"cat", "concat", "stack"} and not _reads_constants(node)


def _of_two_maps(node: fx.Node, name: str) -> bool:
    reads = node.all_input_nodes
    return kind(node) == name and len(reads) == 2 and not _reads_constants(node)


def _reads_constants(node: fx.Node) -> bool:
    return any(one.op == "get_attr" for one in node.all_input_nodes)


def _alike(node: fx.Node) -> bool:
    return all(one.meta["shape"] == node.meta["shape"] for one in node.all_input_nodes)
