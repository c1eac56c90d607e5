# SPDX-License-Identifier: Apache-2.0
"""Where a network is stored in 8 bits: what integer operators read, and what lies between them.

Takes a graph of ATen calls; gives the nodes whose values are stored in 8 bits and the layers whose weights
are.
Whatever is not known stays float32, and so does what only it reads.
"""

from collections.abc import Collection
from dataclasses import dataclass

from torch import fx

from mnc.model.quantization import kinds


@dataclass(frozen=True)
class Plan:
    """`stored` are the values to mark, `layers` the convolutions and dense layers in integers, each in the
    graph's order.
    """

    stored: tuple[fx.Node, ...]
    layers: tuple[fx.Node, ...]


def plan(module: fx.GraphModule, keep_float: Collection[str] = ()) -> Plan:
    """What of `module` is in 8 bits; the layers named in `keep_float` are not."""
    nodes = [node for node in module.graph.nodes if node.op in {"placeholder", "call_function"}]
    kept = {node for node in nodes if node.meta["name"] in keep_float}
    layers = {node for node in nodes if node not in kept and kinds.is_layer(node, module)}
    sources = _sources(nodes, layers, kept)
    wanted: set[fx.Node] = set()
    for node in reversed(nodes):
        wanted.update(_wants(node, node in wanted, layers, kept, sources))
    stored = tuple(
        node
        for node in nodes
        if node in wanted and not (kinds.is_move(node) and node not in kept) and _is_map(node)
    )
    return Plan(stored, tuple(node for node in nodes if node in layers))


def is_fused(node: fx.Node, layers: Collection[fx.Node]) -> bool:
    """Whether it is a clamp that the operator before it does on storing: nothing else reads that one."""
    if kinds.bounds(node) is None:
        return False
    (source,) = node.all_input_nodes
    computes = source in layers or kinds.is_sum(source) or kinds.is_product(source)
    return len(source.users) == 1 and (computes or kinds.is_mean(source))


def _sources(
    nodes: list[fx.Node], layers: set[fx.Node], kept: set[fx.Node]
) -> dict[fx.Node, fx.Node]:
    """Of what belongs to a function of one stored map: that map."""
    sources: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        if node in kept or is_fused(node, layers):
            continue
        reads = {sources.get(one, one) for one in node.all_input_nodes}
        same = len({one.meta["shape"] for one in (node, *node.all_input_nodes)}) == 1
        alone = kinds.is_elementwise(node)
        together = same and len(reads) == 1 and kinds.kind(node) in kinds.BINARY - {"div"}
        constant = any(one.op == "get_attr" for one in reads)
        if (alone or together) and not constant:
            (sources[node],) = reads
    return sources


def _wants(
    node: fx.Node,
    wanted: bool,
    layers: set[fx.Node],
    kept: set[fx.Node],
    sources: dict[fx.Node, fx.Node],
) -> list[fx.Node]:
    """The values that a node reads in 8 bits, where its own is `wanted` in 8 bits or not."""
    if node in layers:
        return node.all_input_nodes[:1]
    if node in kept or not wanted:
        return []
    if node in sources:
        return [sources[node]]
    if is_fused(node, layers):
        (computed,) = node.all_input_nodes
        return _wants(computed, True, layers, kept, sources) if computed not in kept else []
    if kinds.is_sum(node):
        return [one for one in node.all_input_nodes if one is not _summed_at_once(node, layers)]
    known = (
        kinds.is_product(node)
        or kinds.is_mean(node)
        or kinds.is_move(node)
        or kinds.is_concatenation(node)
    )
    return node.all_input_nodes if known else []


def _summed_at_once(node: fx.Node, layers: set[fx.Node]) -> fx.Node | None:
    """The convolution that is rounded together with what is added to it: nothing else reads it."""
    found = (one for one in reversed(node.all_input_nodes) if one in layers)
    return next((one for one in found if len(one.users) == 1 and len(one.meta["shape"]) == 4), None)


def _is_map(node: fx.Node) -> bool:
    return bool(node.meta["shape"])
