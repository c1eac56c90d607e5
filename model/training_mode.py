# SPDX-License-Identifier: Apache-2.0
"""Networks that were traced or exported while they were in training mode.

Takes a trace; gives what in it still trains. Dropout then draws anew in each run, BN takes its statistics
from the batch: what such a file computes is not what the network answers in use, so it is refused by name.
"""

from typing import Any

import torch

# The place among an operator's inputs that says whether it trains.
_DROPOUT = "dropout feature_dropout alpha_dropout feature_alpha_dropout".split()
TRAINS = {
    **{f"aten::{name}{in_place}": 2 for name in _DROPOUT for in_place in ("", "_")},
    "aten::native_dropout": 2,
    "aten::batch_norm": 5,
    "aten::native_batch_norm": 5,
    "aten::_native_batch_norm_legit": 5,
    "aten::_native_batch_norm_legit_functional": 5,
    "aten::rrelu": 3,
}
STATISTICS = 3  # a BN's running mean; one without always takes the batch's


def still_trains(traced: torch.jit.ScriptModule) -> list[str]:
    """The operators in training mode, each once."""
    found = {
        node.kind().removeprefix("aten::")
        for node in traced.inlined_graph.nodes()
        if node.kind() in TRAINS and _trains(node)
    }
    return sorted(found)


def _trains(node: Any) -> bool:
    inputs = list(node.inputs())
    place = TRAINS[node.kind()]
    if len(inputs) <= place or inputs[place].toIValue() is not True:
        return False
    return "batch_norm" not in node.kind() or str(inputs[STATISTICS].type()) != "NoneType"
