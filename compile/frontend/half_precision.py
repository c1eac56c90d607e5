# SPDX-License-Identifier: Apache-2.0
"""A network's maps and weights in half precision where that keeps it right; inputs and outputs in float32.

Takes a Relay module of float32 with its weights inside; gives it in float16, as `half_plan` has it. What is
beyond float16's range is stored as its largest number, never Inf: a float32 network would go on with numbers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from tvm import relay

from mnc.compile.frontend import markers
from mnc.compile.frontend.expressions import dataflow, is_call, rebuilt
from mnc.compile.frontend.half_plan import (
    FULL,
    POOLS,
    PRODUCTS,
    Plan,
    inverse_of,
    is_float,
    name_of,
    parts_of,
    plan,
)
from mnc.compile.templates.blocked import LARGEST_HALF as LARGEST

HALF = "float16"

SUMS = frozenset("add subtract nn.bias_add".split())
# What makes NaN of Inf, or lets it through to where that happens; the rest takes it for a large number.
STRICT = PRODUCTS | POOLS | SUMS | frozenset("multiply nn.prelu".split())
# Whose results any number may be, as far as is known here; and those that are at most 1.
UNBOUNDED = PRODUCTS | frozenset("nn.prelu nn.leaky_relu".split())
UNIT = frozenset("sigmoid tanh erf nn.softmax sin cos".split())


def in_half(mod: Any) -> Any:
    """The module in float16 but for inputs and outputs; as it is where it has control flow."""
    mod = relay.transform.InferType()(mod)
    main = mod["main"]
    nodes = dataflow(main.body)
    if nodes is None:
        return mod
    body = _Halver(plan(nodes)).all(nodes)
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function(main.params, body)))


@dataclass
class _Value:
    """The new form of a node, of no more than `bound` in magnitude: infinity where nothing is known, and a
    half one may be Inf where float32 is not.
    """

    expr: Any
    half: bool = False
    bound: float = math.inf


class _Halver:
    """Visits the old graph in topological order and keeps the new form of every node."""

    def __init__(self, planned: Plan) -> None:
        self._plan = planned
        self._values: dict[Any, _Value] = {}
        self._halves: dict[Any, Any] = {}  # of what is in float32

    def all(self, nodes: list[Any]) -> Any:
        """The last node's new form, in float32."""
        for node in nodes:
            self._values[node] = self._made(node)
            if node in self._plan.shared and isinstance(node, relay.Call) and is_float(node):
                # What several read is one map in memory, in one form.
                bound = min(self._values[node].bound, LARGEST)
                self._values[node] = _Value(self._half(node, finite=True), True, bound)
        return self._full(nodes[-1])

    def _made(self, node: Any) -> _Value:
        if isinstance(node, relay.Var | relay.Tuple):
            return _Value(node)
        if isinstance(node, relay.Constant):
            return _Value(node, bound=float(np.abs(node.data.numpy()).max(initial=0)))
        if isinstance(node, relay.TupleGetItem):
            return self._part(node)
        if is_call(node, markers.IN_FLOAT32):
            return _Value(self._full(node.args[0]))
        if node in self._plan.full or not self._reads_half(node):
            return _Value(
                rebuilt(node, self._full), bound=1.0 if name_of(node) in UNIT else math.inf
            )
        return self._half_call(node)

    def _part(self, node: Any) -> _Value:
        if isinstance(node.tuple_value, relay.Tuple):
            return self._values[node.tuple_value.fields[node.index]]
        whole = self._values[node.tuple_value]
        return _Value(relay.TupleGetItem(whole.expr, node.index), whole.half, whole.bound)

    def _reads_half(self, call: Any) -> bool:
        """Whether a call that has a form in half is in that: the rest as what it reads is."""
        return name_of(call) in PRODUCTS or any(self._values[one].half for one in parts_of(call))

    def _half_call(self, call: Any) -> _Value:
        name, spared = name_of(call), self._spared(call)
        if name == "divide":
            data, by = call.args[0], inverse_of(call)
            expr = relay.multiply(self._half(data, finite=False), relay.const(by))
            return _Value(expr, True, self._values[data].bound * abs(float(by)))
        args = [self._half(one, finite=name in STRICT and one not in spared) for one in call.args]
        if name == "clip":
            least, most = (
                min(max(one, -LARGEST), LARGEST) for one in (call.attrs.a_min, call.attrs.a_max)
            )
            return _Value(relay.clip(*args, least, most), True, max(abs(least), abs(most)))
        return _Value(_call(call, args), True, self._bound(call))

    def _bound(self, call: Any) -> float:
        """The largest magnitude of a call's result."""
        name = name_of(call)
        read = [self._values[one].bound for one in (*parts_of(call), *_constants(call))]
        read = [min(one, LARGEST) for one in read] if name in STRICT else read
        if name in UNBOUNDED:
            return math.inf
        if name == "multiply":
            return math.prod(read)
        return sum(read) if name in SUMS else max(read)

    def _spared(self, call: Any) -> list[Any]:
        """The operand of a sum that may be Inf: one, as Inf and a number are Inf, but Inf less Inf NaN."""
        parts = parts_of(call)
        if name_of(call) not in SUMS or len(set(parts)) < len(parts):
            return []
        return [one for one in parts if self._values[one].bound > LARGEST][:1]

    def _half(self, node: Any, *, finite: bool) -> Any:
        """A node's form in float16, where it is one of floats; without Inf where it is to be `finite`."""
        if isinstance(node, relay.Tuple):
            return relay.Tuple([self._half(one, finite=finite) for one in node.fields])
        value = self._values[node]
        if not is_float(node):
            return value.expr
        if isinstance(node, relay.Constant):
            return relay.const(_halved(node.data.numpy()))
        inside = value.bound <= LARGEST
        if value.half:
            return value.expr if inside or not finite else _bounded(value.expr)
        if node not in self._halves:
            expr = value.expr if inside else _bounded(value.expr)
            self._halves[node] = relay.cast(expr, HALF)
        return self._halves[node]

    def _full(self, node: Any) -> Any:
        """A node's form in float32, where it is one of floats."""
        if isinstance(node, relay.Tuple):
            return relay.Tuple([self._full(one) for one in node.fields])
        value = self._values[node]
        return relay.cast(self._half(node, finite=True), FULL) if value.half else value.expr


def _constants(call: Any) -> list[Any]:
    return [one for one in call.args if isinstance(one, relay.Constant) and is_float(one)]


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
