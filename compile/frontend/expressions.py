# SPDX-License-Identifier: Apache-2.0
"""What passes over Relay ask of an expression: what it reads, its operator, its shape; and its rebuilding."""

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relay

# What a network without control flow is made of.
DATAFLOW = (relay.Var, relay.Constant, relay.Call, relay.Tuple, relay.TupleGetItem, tvm.ir.Op)


def in_order(body: Any) -> list[Any]:
    """All expressions within `body`, each after those that it reads."""
    found: list[Any] = []
    relay.analysis.post_order_visit(body, found.append)
    return found


def dataflow(body: Any) -> list[Any] | None:
    """Those of `in_order` but for operators; None where there is control flow."""
    found = in_order(body)
    if not all(isinstance(node, DATAFLOW) for node in found):
        return None
    return [node for node in found if not isinstance(node, tvm.ir.Op)]


def children(node: Any) -> list[Any]:
    """The expressions that `node` reads."""
    if isinstance(node, relay.Call):
        return list(node.args)
    if isinstance(node, relay.Tuple):
        return list(node.fields)
    return [node.tuple_value] if isinstance(node, relay.TupleGetItem) else []


def rebuilt(node: Any, new: Callable[[Any], Any]) -> Any:
    """`node` as it was, reading what `new` gives for each of its `children`."""
    if isinstance(node, relay.Call):
        args = [new(arg) for arg in node.args]
        return relay.Call(node.op, args, node.attrs, node.type_args, node.span)
    if isinstance(node, relay.Tuple):
        return relay.Tuple([new(field) for field in node.fields])
    if isinstance(node, relay.TupleGetItem):
        return relay.TupleGetItem(new(node.tuple_value), node.index)
    return node


def replaced(mod: Any, replacement: Callable[[Any, Callable[[Any], Any]], Any]) -> Any:
    """The module with `replacement(node, new)` in place of each expression of its function, which stays where
    that is None; `new` gives what took the place of one that comes before. Typed.
    """
    new: dict[Any, Any] = {}

    def visit(node: Any) -> None:
        made = replacement(node, new.__getitem__)
        new[node] = rebuilt(node, new.__getitem__) if made is None else made

    main = mod["main"]
    relay.analysis.post_order_visit(main.body, visit)
    function = relay.Function(main.params, new[main.body])
    return relay.transform.InferType()(tvm.IRModule.from_expr(function))


def is_call(node: Any, name: str) -> bool:
    """Whether `node` is a call of the operator of that name."""
    return isinstance(node, relay.Call) and getattr(node.op, "name", "") == name


def is_zero(node: Any) -> bool:
    """Whether `node` is a constant of zeros."""
    return isinstance(node, relay.Constant) and not node.data.numpy().any()


def shape_of(node: Any) -> tuple[int, ...]:
    """The static shape of a typed tensor."""
    return tuple(int(extent) for extent in node.checked_type.shape)
