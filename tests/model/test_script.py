# SPDX-License-Identifier: Apache-2.0
"""Scripted networks with Python's own constructs come out of `script.Replay` as plain traces."""

from typing import Any

import torch
from torch import Tensor, nn

from mnc.model import prepare, script, zoo


class Pyramid(nn.Module):
    """Features in a dict, walked by loops with a way out; a list that grows, unpacked and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, 2), nn.Conv2d(4, 4, 1)])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Of (N, 3, H, W): each layer's mean, (N, layers), and the last map that is large enough."""
        maps: dict[str, Tensor] = {}
        for number, layer in enumerate(self.layers):
            x = torch.relu(layer(x))
            maps[f"map{number}"] = x
        means: list[Tensor] = []
        for name, one in maps.items():
            if name != "nothing":
                means.append(one.mean([1, 2, 3]))
        kept = maps["map0"]
        number = 0
        while number < len(means) and kept.size(2) > 4:
            kept = kept[:, :, 1:-1]
            number += 1
        return {"means": torch.stack(means, 1), "kept": kept}


def test_loops_dicts_and_lists_leave_a_plain_trace_with_the_same_outputs() -> None:
    torch.manual_seed(0)
    network = Pyramid().eval()
    x = torch.randn(2, 3, 12, 9)
    scripted: Any = torch.jit.script(network)
    assert {"prim::Loop", "prim::DictConstruct"} <= kinds(scripted), "or this would show nothing"
    replay: Any = script.Replay(scripted)
    traced: Any = torch.jit.trace(replay, x, strict=False, check_trace=False)  # type: ignore[no-untyped-call]
    assert not kinds(traced) & {"prim::Loop", "prim::If", "aten::append", "aten::_set_item"}
    for found, wanted in zip(traced(x).values(), network(x).values(), strict=True):
        torch.testing.assert_close(found, wanted)


def kinds(module: Any) -> set[str]:
    """Of all nodes of its graph, those within loops too."""
    graph = module.inlined_graph
    return {
        node.kind()
        for kind in (
            "prim::Loop",
            "prim::If",
            "prim::DictConstruct",
            "aten::append",
            "aten::_set_item",
        )
        for node in graph.findAllNodes(kind, recurse=True)
    }


class _PooledUnderABranch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dim() < 3:
            x = x[None]
        return nn.functional.avg_pool2d(x, 2, 2, 1, ceil_mode=True, divisor_override=3)


def test_a_pool_s_own_constants_are_no_decision_by_data() -> None:
    scripted = torch.jit.script(_PooledUnderABranch().eval())
    x = torch.rand(1, 3, 5, 5)
    with torch.no_grad():
        traced = prepare.trace(zoo.Model("pooled", scripted, (1, 3, 5, 5), None, (), "random", ""))
        torch.testing.assert_close(traced(x), scripted(x))
