# SPDX-License-Identifier: Apache-2.0
"""Which of a network's operators are for half precision, and which stay in float32.

Takes the nodes of a typed Relay module of float32; gives a `Plan`.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relay

from mnc.compile.frontend import markers
from mnc.compile.frontend.expressions import children, is_call
from mnc.compile.templates.blocked import LARGEST_HALF as LARGEST

FULL = "float32"

# Sums of products, of which a core does twice as many.
PRODUCTS = frozenset("nn.conv2d nn.conv2d_transpose nn.dense".split())
# An instruction or two a vector.
ELEMENTWISE = frozenset(
    "add subtract multiply maximum minimum nn.bias_add nn.relu clip nn.leaky_relu nn.prelu negative"
    " abs".split()
)
# What gives numbers that it was given, in the precision in which it was.
MOVES = frozenset(
    "nn.max_pool2d nn.global_max_pool2d nn.adaptive_max_pool2d reshape transpose squeeze expand_dims"
    " concatenate nn.pad strided_slice split nn.batch_flatten nn.dropout copy layout_transform"
    " nn.depth_to_space nn.space_to_depth broadcast_to repeat tile reverse".split()
)
# Means, whose sums `templates.op_strategy` takes in float32.
POOLS = frozenset({"nn.global_avg_pool2d", "nn.adaptive_avg_pool2d"})


@dataclass(frozen=True)
class Plan:
    """`full` are the calls in float32, `shared` the nodes that several read, one of them in float16."""

    full: set[Any]
    shared: set[Any]


def plan(nodes: list[Any]) -> Plan:
    """In float32 is what has no form in half, what is marked, with its readers, and element-wise work that
    only these or nobody reads.
    """
    readers: dict[Any, list[Any]] = defaultdict(list)
    for node in nodes:
        if not isinstance(node, relay.Tuple) or node.same_as(nodes[-1]):
            for part in parts_of(node):
                readers[part].append(node)
    marked, full = _marked(nodes), {nodes[-1]} if isinstance(nodes[-1], relay.Tuple) else set()
    for node in reversed(nodes):
        if isinstance(node, relay.Call):
            near = node in marked or any(part in marked for part in parts_of(node))
            alone = name_of(node) in ELEMENTWISE and all(one in full for one in readers[node])
            if near or alone or not _has_half(node):
                full.add(node)
    shared = {
        node for node, some in readers.items() if len(some) > 1 and not all(n in full for n in some)
    }
    return Plan(full, shared)


def _marked(nodes: list[Any]) -> set[Any]:
    """The markers and what they stand behind: of a layer its products and the bias added to them."""
    found: set[Any] = set()
    for node in nodes:
        if not is_call(node, markers.IN_FLOAT32):
            continue
        found |= {node, node.args[0]}
        if name_of(node.args[0]) == "add" and isinstance(node.args[0].args[1], relay.Constant):
            found.add(node.args[0].args[0])
    return found


def _has_half(call: Any) -> bool:
    """Whether the call has a form in float16 that is as right as its weights are."""
    name = name_of(call)
    if name in MOVES:
        return True
    constants = [one for one in call.args if isinstance(one, relay.Constant)]
    if not is_float(call) or not all(map(_fits, constants)):
        return False
    if name == "divide":
        # Of a product of maps the dividend may be beyond the range where the quotient is not.
        return inverse_of(call) is not None and not is_call(call.args[0], "multiply")
    if name in PRODUCTS:
        return isinstance(call.args[1], relay.Constant)
    return name in ELEMENTWISE | POOLS


def parts_of(node: Any) -> list[Any]:
    """The maps that a node reads, those of a tuple one by one, but for constants."""
    read = [
        part
        for one in children(node)
        for part in (one.fields if isinstance(one, relay.Tuple) else [one])
    ]
    return [one for one in read if not isinstance(one, relay.Constant)]


def inverse_of(call: Any) -> Any:
    """One over the ordinary number that a call divides by, as float16; None for anything else."""
    if not isinstance(call.args[1], relay.Constant) or call.args[1].data.numpy().size != 1:
        return None
    value = abs(float(call.args[1].data.numpy().item()))
    return np.asarray(1 / call.args[1].data.numpy(), np.float16) if 1e-3 < value < 1e3 else None


def _fits(constant: Any) -> bool:
    """Whether a constant's numbers are within float16's range."""
    values = constant.data.numpy()
    return values.dtype != FULL or bool((np.abs(values) <= LARGEST).all())


def is_float(node: Any) -> bool:
    """Whether the node, as it came, is one tensor of float32."""
    kind = node.checked_type
    return isinstance(kind, relay.TensorType) and kind.dtype == FULL


def name_of(node: Any) -> str:
    """The operator that a node calls; "" for what is no call of one."""
    return getattr(getattr(node, "op", None), "name", "")
