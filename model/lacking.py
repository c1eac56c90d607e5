# SPDX-License-Identifier: Apache-2.0
"""Which operators of a trace may have to be said by others.

Takes a traced module; gives their kinds. What every network has, and has in a form that is known to be fine,
is none of them, since to replay a trace takes seconds.
"""

from collections.abc import Callable
from typing import Any

import torch

from mnc.model import pooling
from mnc.model.composites import COMPOSITES
from mnc.model.decompositions import DECOMPOSITIONS, DOUBLE


def to_take_apart(traced: torch.jit.ScriptModule) -> set[str]:
    """The operators of a trace that may have to be said by others, a BN that is not folded among them."""
    return {
        node.kind()
        for node in traced.inlined_graph.nodes()
        if node.kind() in DECOMPOSITIONS.keys() | COMPOSITES and _may_be_lacking(node)
    }


def _may_be_lacking(node: Any) -> bool:
    """False for calls, of what every network has, that are known to be fine."""
    rule = RULES.get(node.kind())
    return rule is None or rule(node)


def _convolves_unlike_others(node: Any) -> bool:
    """Transposed, or with one padding for all axes."""
    return bool(node.inputsAt(6).toIValue()) or node.inputsAt(4).node().inputsSize() == 1


def _rounds_up(node: Any) -> bool:
    return bool(node.inputsAt(5).toIValue())


def _works_its_size_out(node: Any) -> bool:
    size = node.inputsAt(1).node()
    return any(one.node().kind() != "prim::Constant" for one in size.inputs())


# By operator: whether this call of it may be lacking.
RULES: dict[str, Callable[[Any], bool]] = {
    "aten::_convolution": _convolves_unlike_others,
    "aten::to": lambda node: any(one.toIValue() == DOUBLE for one in list(node.inputs())[1:3]),
    "aten::div": lambda node: node.inputsSize() > 2 and node.inputsAt(2).toIValue() is not None,
    # By a mask, perhaps; what is worked out in the trace is known to be none.
    "aten::index": lambda node: any(
        not one.isCompleteTensor() for one in node.inputsAt(1).node().inputs()
    ),
    "aten::linspace": lambda node: node.inputsAt(2).node().kind() != "prim::Constant",
    "aten::meshgrid": lambda node: node.inputsSize() > 1 and node.inputsAt(1).toIValue() != "ij",
    "aten::sum": lambda node: node.inputsAt(0).type().scalarType() == "Bool",
    **{f"aten::{name}": _works_its_size_out for name in pooling.ADAPTIVE},
    **{f"aten::{name}": _rounds_up for name in pooling.MAXIMUM},
}
