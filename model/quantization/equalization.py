# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalization: a map's channels get ranges that are more alike, and the network stays the same.

Takes a graph and images; changes its weights. Where a channel is made k times larger, and the weights that
read it 1/k, no output changes: sums, ReLU, pooling and moves do not mind, and ReLU6 does not where it still
stays below 6. One grid for all channels then fits each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from mnc.model.quantization import graph, kinds
from mnc.model.quantization.plan import Plan

LARGEST = 64.0  # factor
LINEAR, CAPPED = 0.8, 0.5  # of what makes ranges the same; of images not seen, a cap would cut more
POOLS = {"max_pool2d", "avg_pool2d"}


@dataclass
class Group:
    """The values that share a factor for each channel, the layers that make them and those that read them."""

    values: set[fx.Node] = field(default_factory=set)
    makers: list[fx.Node] = field(default_factory=list)
    readers: list[fx.Node] = field(default_factory=list)
    fixed: bool = False
    cap: float | None = None


@dataclass(frozen=True)
class Range:
    """Of each channel of a stored map, either way: the `largest` of all images, and `typical` of one."""

    largest: Tensor
    typical: Tensor


Ranges = dict[fx.Node, Range]


def ranges(module: fx.GraphModule, where: Plan, images: Sequence[tuple[Tensor, ...]]) -> Ranges:
    """Over `images`, each a row of the network's inputs, in float32."""
    seen: dict[fx.Node, list[Tensor]] = {node: [] for node in where.stored}

    class Watching(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            """Run it, and see what is stored of it."""
            made = super().run_node(n)
            if n in seen and isinstance(made, Tensor) and made.dim() in {2, 4}:
                axes = [axis for axis in range(made.dim()) if axis != 1]
                seen[n].append(made.abs().amax(axes).double())
            return made

    for row in images:
        Watching(module).run(*row)
    stacked = {node: torch.stack(found) for node, found in seen.items() if found}
    return {node: Range(found.amax(0), found.mean(0)) for node, found in stacked.items()}


def equalize(module: fx.GraphModule, where: Plan, seen: Ranges) -> None:
    """Change the weights of the layers of `where`, by what `ranges` has seen."""
    for group in _groups(module, where):
        known = [seen[one] for one in group.values if one in seen]
        if group.fixed or not known or not group.readers:
            continue
        factors = _factors(known, group.cap)
        for maker in group.makers:
            _scale(module, maker, factors, outputs=True)
        for reader in group.readers:
            _scale(module, reader, 1 / factors, outputs=False)


def _factors(known: Sequence[Range], cap: float | None) -> Tensor:
    """None makes a channel smaller; one that never fires, or gives no numbers, stays as it is."""
    if cap is None:
        size = torch.stack([one.typical for one in known]).amax(0)
        whole = float(size.max())
    else:
        size, whole = torch.stack([one.largest for one in known]).amax(0), cap
    room = torch.where(size > 0, whole / size, torch.ones_like(size))
    room = torch.nan_to_num(room, nan=1.0).clamp(1, LARGEST)
    return room ** (LINEAR if cap is None else CAPPED)


def _groups(module: fx.GraphModule, where: Plan) -> list[Group]:
    """Of every value with channels that a layer of `where` makes."""
    of: dict[fx.Node, Group] = {}
    for node in module.graph.nodes:
        if node.op not in {"placeholder", "call_function"}:
            continue
        own = of[node] = Group(values={node})
        sources = [one for one in node.all_input_nodes if one in of]
        if node in where.layers:
            _layer(module, node, own, of[sources[0]])
        elif sources and all(_passes(node, one) for one in sources):
            cut = kinds.bounds(node)
            own.cap = cut[1] if cut is not None and cut[1] != float("inf") else None
            for source in sources:
                _join(of, node, source)
        else:
            own.fixed = True
            for source in sources:
                of[source].fixed = True
    for node in module.graph.find_nodes(op="output"):
        for source in node.all_input_nodes:
            of[source].fixed = True
    return list({id(group): group for group in of.values()}.values())


def _layer(module: fx.GraphModule, node: fx.Node, made: Group, read: Group) -> None:
    weight = graph.constant(module, node.args[1])
    alone = all(len(one.users) == 1 for one in node.all_input_nodes if one.op == "get_attr")
    inputs = node.args[0].meta["shape"][1]  # type: ignore[union-attr]
    plain = weight.shape[1] == inputs or (weight.shape[1] == 1 and weight.shape[0] == inputs)
    read.fixed |= not (plain and alone)
    made.fixed |= not alone
    read.readers.append(node)
    made.makers.append(node)


def _passes(node: fx.Node, source: fx.Node) -> bool:
    """Whether a factor on a channel of `source` is one on that channel of the output."""
    before, after = source.meta["shape"], node.meta["shape"]
    if len(before) < 2 or before[:2] != after[:2]:
        return False
    cut = kinds.bounds(node)
    if cut is not None:
        return cut[0] == 0
    if kinds.is_sum(node) or kinds.is_mean(node) or kinds.kind(node) in POOLS:
        return True
    flat = kinds.kind(node) in {"flatten", "reshape", "view"} and set(before[2:]) <= {1}
    return flat or (kinds.kind(node) in kinds.PADS and kinds.is_move(node))


def _join(of: dict[fx.Node, Group], node: fx.Node, source: fx.Node) -> None:
    kept, gone = of[source], of[node]
    if kept is gone:
        return
    kept.values |= gone.values
    kept.makers += gone.makers
    kept.readers += gone.readers
    kept.fixed |= gone.fixed
    caps = [one.cap for one in (kept, gone) if one.cap is not None]
    kept.cap = min(caps) if caps else None
    for one in gone.values:
        of[one] = kept


def _scale(module: fx.GraphModule, layer: fx.Node, factors: Tensor, *, outputs: bool) -> None:
    """Multiply a layer's outputs, or the weights of its inputs."""
    weight = graph.constant(module, layer.args[1])
    depthwise = weight.shape[1] == 1 and weight.shape[0] == len(factors)
    axis = 0 if outputs or depthwise else 1
    shape = [-1 if place == axis else 1 for place in range(weight.dim())]
    weight.copy_((weight.double() * factors.reshape(shape)).float())
    bias = layer.args[2] if len(layer.args) > 2 else None
    if outputs and bias is not None:
        tensor = graph.constant(module, bias)
        tensor.copy_((tensor.double() * factors).float())
