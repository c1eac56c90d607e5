# SPDX-License-Identifier: Apache-2.0
"""A network's maps and weights in half precision where that keeps it right; inputs and outputs in float32.

Takes a Relay module of float32 with its weights inside; gives it in float16. Exponentials, roots and sums of
maps are of float32. What is beyond float16's range is stored as its largest number, never Inf, and what
`markers.IN_FLOAT32` stands behind is not stored in float16 at all.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relay

from mnc.compile.frontend import markers
from mnc.compile.frontend.expressions import children, is_call, rebuilt
from mnc.compile.templates.blocked import LARGEST_HALF as LARGEST

HALF, FULL = "float16", "float32"

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
# What may leave the range of its arguments; of the rest that is in float32, what may not.
GROWING = PRODUCTS | frozenset("add subtract multiply nn.bias_add nn.prelu nn.leaky_relu".split())
BOUNDED = frozenset("sigmoid tanh erf nn.softmax sin cos mean nn.avg_pool2d".split())
# What makes NaN of Inf, or lets it through to where that happens; the rest takes it for a large number.
STRICT = PRODUCTS | POOLS | frozenset("add subtract nn.bias_add multiply nn.prelu".split())


def in_half(mod: Any) -> Any:
    """The module in float16 but for inputs and outputs; as it is where it has control flow."""
    mod = relay.transform.InferType()(mod)
    main = mod["main"]
    order: list[Any] = []
    relay.analysis.post_order_visit(main.body, order.append)
    known = (relay.Var, relay.Constant, relay.Call, relay.Tuple, relay.TupleGetItem, tvm.ir.Op)
    if not all(isinstance(node, known) for node in order):
        return mod
    nodes = [node for node in order if not isinstance(node, tvm.ir.Op)]
    body = _Halver(_plan(nodes)).all(nodes)
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(main.params, body)))


@dataclass(frozen=True)
class _Plan:
    """`full` are the calls in float32, `shared` the nodes that several read, one of them in float16."""

    full: set[Any]
    shared: set[Any]


def _plan(nodes: list[Any]) -> _Plan:
    """In float32 is what has no form in half, what is marked, with its readers, and element-wise work that
    only these or nobody reads.
    """
    readers: dict[Any, list[Any]] = defaultdict(list)
    for node in nodes:
        if not isinstance(node, relay.Tuple) or node.same_as(nodes[-1]):
            for part in _parts(node):
                readers[part].append(node)
    marked, full = _marked(nodes), {nodes[-1]} if isinstance(nodes[-1], relay.Tuple) else set()
    for node in reversed(nodes):
        if isinstance(node, relay.Call):
            near = node in marked or any(part in marked for part in _parts(node))
            alone = _name(node) in ELEMENTWISE and all(one in full for one in readers[node])
            if near or alone or not _has_half(node):
                full.add(node)
    shared = {
        node for node, some in readers.items() if len(some) > 1 and not all(n in full for n in some)
    }
    return _Plan(full, shared)


def _marked(nodes: list[Any]) -> set[Any]:
    """The markers and what they stand behind: of a layer its products and the bias added to them."""
    found: set[Any] = set()
    for node in nodes:
        if not is_call(node, markers.IN_FLOAT32):
            continue
        inner = node
        while isinstance(inner, relay.Call) and inner not in found:
            found.add(inner)
            if inner is not node and _name(inner) not in ("add", "nn.bias_add"):
                break
            inner = inner.args[0]
    return found


def _has_half(call: Any) -> bool:
    """Whether the call has a form in float16 that is as right as its weights are."""
    name = _name(call)
    if name in MOVES:
        return True
    constants = [one for one in call.args if isinstance(one, relay.Constant)]
    if not _is_float(call) or not all(map(_fits, constants)):
        return False
    if name == "divide":
        # Of a product of maps the dividend may be beyond the range where the quotient is not.
        return _inverse(call) is not None and not is_call(call.args[0], "multiply")
    if name in PRODUCTS:
        return isinstance(call.args[1], relay.Constant)
    return name in ELEMENTWISE | POOLS


@dataclass
class _Value:
    """The new form of a node. A half one that is not `finite` may be Inf where float32 is not."""

    expr: Any
    half: bool = False
    finite: bool = True


class _Halver:
    """Visits the old graph in topological order and keeps the new form of every node."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._values: dict[Any, _Value] = {}
        self._halves: dict[Any, Any] = {}  # of what is in float32

    def all(self, nodes: list[Any]) -> Any:
        """The last node's new form, in float32."""
        for node in nodes:
            value = self._made(node)
            self._values[node] = value
            if node in self._plan.shared and isinstance(node, relay.Call) and _is_float(node):
                # What several read is one map in memory, in one form.
                self._values[node] = _Value(self._half(node, finite=True), half=True)
        return self._full(nodes[-1])

    def _made(self, node: Any) -> _Value:
        if isinstance(node, relay.Var | relay.Constant | relay.Tuple):
            return _Value(node)
        if isinstance(node, relay.TupleGetItem):
            return self._part(node)
        if is_call(node, markers.IN_FLOAT32):
            return _Value(self._full(node.args[0]))
        if node in self._plan.full or not self._reads_half(node):
            return _Value(rebuilt(node, self._full))
        return self._half_call(node)

    def _part(self, node: Any) -> _Value:
        if isinstance(node.tuple_value, relay.Tuple):
            return self._values[node.tuple_value.fields[node.index]]
        whole = self._values[node.tuple_value]
        return _Value(relay.TupleGetItem(whole.expr, node.index), whole.half, whole.finite)

    def _reads_half(self, call: Any) -> bool:
        """Whether a call that has a form in half is in that: the rest as what it reads is."""
        return _name(call) in PRODUCTS or any(self._values[one].half for one in _parts(call))

    def _half_call(self, call: Any) -> _Value:
        name = _name(call)
        if name == "divide":
            args = [self._half(call.args[0], finite=False), relay.const(_inverse(call))]
            return _Value(relay.multiply(*args), half=True, finite=False)
        strict, spared = name in STRICT, self._spared(call)
        args = [self._half(one, finite=strict and one not in spared) for one in call.args]
        if name == "clip":
            bounds = (max(call.attrs.a_min, -LARGEST), min(call.attrs.a_max, LARGEST))
            return _Value(relay.clip(*args, *bounds), half=True)
        finite = name not in GROWING and (
            strict or all(self._values[p].finite for p in _parts(call))
        )
        return _Value(_call(call, args), half=True, finite=finite)

    def _spared(self, call: Any) -> list[Any]:
        """The operand of a sum that may be Inf: one, as Inf and a number are Inf, but Inf less Inf NaN."""
        parts = _parts(call)
        if _name(call) not in ("add", "subtract", "nn.bias_add") or len(set(parts)) < len(parts):
            return []
        return [one for one in parts if not self._values[one].finite][:1]

    def _half(self, node: Any, *, finite: bool) -> Any:
        """A node's form in float16, where it is one of floats; without Inf where it is to be `finite`."""
        if isinstance(node, relay.Tuple):
            return relay.Tuple([self._half(one, finite=finite) for one in node.fields])
        value = self._values[node]
        if not _is_float(node):
            return value.expr
        if isinstance(node, relay.Constant):
            return relay.const(_halved(node.data.numpy()))
        if value.half:
            return _bounded(value.expr) if finite and not value.finite else value.expr
        if node not in self._halves:
            inside = _name(node) in BOUNDED
            self._halves[node] = relay.cast(value.expr if inside else _bounded(value.expr), HALF)
        return self._halves[node]

    def _full(self, node: Any) -> Any:
        """A node's form in float32, where it is one of floats."""
        if isinstance(node, relay.Tuple):
            return relay.Tuple([self._full(one) for one in node.fields])
        value = self._values[node]
        return relay.cast(self._half(node, finite=True), FULL) if value.half else value.expr


def _call(call: Any, args: list[Any]) -> Any:
    """The call of other arguments, of whose type its result is."""
    if not getattr(call.attrs, "out_dtype", ""):
        return relay.Call(call.op, args, call.attrs, call.type_args, call.span)
    attrs = {key: call.attrs[key] for key in call.attrs.keys()}  # noqa: SIM118 - not a dict
    make = getattr(relay.nn, call.op.name.removeprefix("nn."))
    return make(*args, **attrs | {"out_dtype": ""})


def _bounded(expr: Any) -> Any:
    if is_call(expr, "nn.relu"):
        return relay.clip(expr.args[0], 0.0, LARGEST)
    return relay.clip(expr, -LARGEST, LARGEST)


def _halved(values: Any) -> Any:
    """Infinities stay, for what they stand for are paddings and masks."""
    inside = np.clip(values, -LARGEST, LARGEST)
    return np.where(np.isinf(values), values, inside).astype(np.float16)


def _parts(node: Any) -> list[Any]:
    """The maps that a node reads, those of a tuple one by one, but for constants."""
    read = [
        part
        for one in children(node)
        for part in (one.fields if isinstance(one, relay.Tuple) else [one])
    ]
    return [one for one in read if not isinstance(one, relay.Constant)]


def _inverse(call: Any) -> Any:
    """One over the ordinary number that a call divides by, as float16; None for anything else."""
    if not isinstance(call.args[1], relay.Constant) or call.args[1].data.numpy().size != 1:
        return None
    value = abs(float(call.args[1].data.numpy().item()))
    return np.asarray(1 / call.args[1].data.numpy(), np.float16) if 1e-3 < value < 1e3 else None


def _fits(constant: Any) -> bool:
    """Whether a constant's numbers are within float16's range."""
    values = constant.data.numpy()
    return values.dtype != FULL or bool((np.abs(values) <= LARGEST).all())


def _is_float(node: Any) -> bool:
    kind = node.checked_type
    return isinstance(kind, relay.TensorType) and kind.dtype == FULL


def _name(node: Any) -> str:
    return getattr(getattr(node, "op", None), "name", "")
