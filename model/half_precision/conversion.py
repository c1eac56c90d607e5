# SPDX-License-Identifier: Apache-2.0
"""A trained float network becomes the same for half precision, with what does not fit that in float32.

Takes a `Model` and images; gives the model with markers behind what stays in float32, biases that make up for
the rounding of weights in the rest, and a report.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, fx

from mnc.model.half_precision import bias, sums
from mnc.model.half_precision.report import Layer, Report
from mnc.model.quantization import graph, kinds, operators  # noqa: F401 - operators are registered by it
from mnc.model.quantization.costs import values_of
from mnc.model.quantization.post_training import Images, check_names, runs_of
from mnc.model.zoo import Model
from mnc.support.errors import UserError

ROOM = 4  # other images' maps may be as many times larger than those of calibration
WRONG = 0.02  # relative error of a layer's sums from which on it stays in float32


def in_half(model: Model, images: Images, *, keep_float: Collection[str] = ()) -> Model:
    """`model` in half precision but for the layers named in `keep_float`, those whose maps leave its range
    over `images`, each float32 (1, C, H, W), and those whose sums are off by `WRONG`.

    UserError for names that no layer has. Of a network that cannot be read layer by layer nothing is known:
    the report says so.
    """
    made = dataclasses.replace(model, name=f"{model.name}_fp16", precision="fp16")
    try:
        module = graph.graph_of(model)
    except UserError as error:
        if keep_float:
            raise
        remark = f"its maps were not looked at, whether they fit half precision: {error}"
        return dataclasses.replace(made, half=Report(0, (), {}, (remark,)))
    check_names(module, keep_float)
    runs = runs_of(model, images)
    with torch.no_grad():
        report, read = _report(module, runs, keep_float)
        biases = {
            node: bias.corrected(module, node, total / len(runs))
            for node, total in read.items()
            if bias.is_in_half(module, node, report.kept_float)
        }
    for node, one in biases.items():
        bias.put(module, node, one)
    _mark(module, report.kept_float)
    return dataclasses.replace(made, half=report, network=module)


def _report(
    module: fx.GraphModule, runs: list[tuple[Tensor, ...]], keep_float: Collection[str]
) -> tuple[Report, dict[fx.Node, Tensor]]:
    """And the totals, over the runs, of the means of what each layer reads."""
    largest: dict[fx.Node, float] = {}
    found: dict[fx.Node, Any] = {}
    read: dict[fx.Node, Tensor] = {}
    for row in runs:
        values = values_of(module, row)
        for node in module.graph.nodes:
            if node.op == "call_function" and _is_float(values[node]):
                largest[node] = max(largest.get(node, 0.0), _largest(module, node, values))
                if node not in found:
                    found[node] = _sums(module, node, values)
                if kinds.is_layer(node, module):
                    means = bias.means(node, values[node.all_input_nodes[0]])
                    read[node] = read.get(node, torch.zeros_like(means)) + means
    layers = {node: _layer(node, most, found[node]) for node, most in largest.items()}
    kept = _kept(layers.values(), keep_float)
    return Report(len(runs), tuple(layers.values()), kept), read


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float32 and value.numel() > 0


def _largest(module: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]) -> float:
    """The largest magnitude that a layer has to hold: of its output, and of that before the bias."""
    value = values[node]
    most = float(value.abs().nan_to_num().max())  # JSON has no infinity
    added = node.args[2] if kinds.is_layer(node, module) and len(node.args) > 2 else None
    if isinstance(added, fx.Node):
        shift = values[added].reshape(-1, *[1] * (value.dim() - 2))
        most = max(most, float((value - shift).abs().nan_to_num().max()))
    return most


def _sums(module: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
    """(products, their errors) of a convolution or dense layer, else None; also of one that reads what halves
    do not hold: it is in float32 with what made that.
    """
    if not kinds.is_layer(node, module):
        return None
    data = values[node.all_input_nodes[0]]
    return sums.errors(module, node, data) if bool((data.abs() <= sums.LARGEST).all()) else None


def _layer(node: fx.Node, largest: float, found: Any) -> Layer:
    products, errors = found or (0, None)
    return Layer(node.meta["name"], kinds.kind(node), largest, products, errors)


def _kept(layers: Collection[Layer], keep_float: Collection[str]) -> dict[str, str]:
    """The layers that stay in float32, and why."""
    kept = dict.fromkeys(keep_float, "as asked for")
    for one in layers:
        if not one.largest <= sums.LARGEST / ROOM:
            kept[one.name] = f"up to {one.largest:.3g}, float16 ends at {sums.LARGEST:.0f}"
        elif one.sums and one.sums.by_blocks > WRONG:
            off = f"{one.sums.by_blocks:.1%}" if one.sums.by_blocks < 1 else "more than 100%"
            kept[one.name] = f"sums of {one.products} products are off by {off}"
    return kept


def _mark(module: fx.GraphModule, kept: Collection[str]) -> None:
    """Put the markers into the graph."""
    for node in [one for one in module.graph.nodes if one.meta.get("name") in kept]:
        with module.graph.inserting_after(node):
            marker = module.graph.call_function(torch.ops.mnc.in_float32.default, (node,))
        marker.meta = dict(node.meta)
        node.replace_all_uses_with(marker, delete_user_cb=lambda user, own=marker: user is not own)
    module.recompile()
