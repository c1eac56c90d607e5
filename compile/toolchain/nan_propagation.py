# SPDX-License-Identifier: Apache-2.0
"""NaN in, NaN out: maxima and minima of floats as PyTorch has them, whatever operator they are of.

Gives `PASS`, over lowered TIR, for all that is compiled: our templates, what is fused to them, TVM's own
operators. TVM's maximum is `a > b ? a : b`, which is b where either is NaN, and of nothing it is the lowest
finite number, which hides -Inf.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import tir

_INTRINSICS = {tir.Max: "llvm.maximum", tir.Min: "llvm.minimum"}
_LARGEST = float(np.finfo(np.float32).max)
_OF_NOTHING = {tir.Max: -_LARGEST, tir.Min: _LARGEST}  # in TVM


def _propagate_nan(func: Any, _module: Any, _context: Any) -> Any:
    body, reduced = func.body, _reductions(func.body)
    if reduced:
        body = tir.stmt_functor.ir_transform(
            body, None, _from_infinity(reduced), ["tir.BufferStore"]
        )
    propagate = _as_instruction if _on_arm() else _in_order
    return func.with_body(
        tir.stmt_functor.ir_transform(body, None, propagate, ["tir.Max", "tir.Min"])
    )


# To be run last: what simplifies TIR takes the operands of a maximum for interchangeable.
PASS = tir.transform.prim_func_pass(_propagate_nan, opt_level=0, name="mnc.PropagateNaN")


def _as_instruction(node: Any) -> Any:
    """ARM's maximum that propagates NaN takes as long as the one that does not."""
    if not node.dtype.startswith(("float32", "float16")):
        return _in_order(node)
    operands = tir.const(2, "uint32")
    return tir.call_llvm_pure_intrin(node.dtype, _INTRINSICS[type(node)], operands, node.a, node.b)


def _in_order(node: Any) -> Any:
    """x86's maximum gives its second operand where either is NaN: with a constant first it costs nothing.

    Of two variables the first needs a test. Only pooling and `torch.maximum` have such.
    """
    if not node.dtype.startswith("float") or _constant(node.a) is not None:
        return None
    if _constant(node.b) is not None:
        return type(node)(node.b, node.a)
    return tir.Select(tir.EQ(node.a, node.a), node, node.a)


def _reductions(body: Any) -> dict[Any, type]:
    """The buffers, by their variable, that hold the maximum or minimum of what was met so far."""
    found: dict[Any, type] = {}

    def look(node: Any) -> None:
        if type(node.value) in _OF_NOTHING:
            sides = (node.value.a, node.value.b)
            loads = [side for side in sides if isinstance(side, tir.BufferLoad)]
            if any(load.buffer.data.same_as(node.buffer.data) for load in loads):
                found[node.buffer.data] = type(node.value)

    # Not `post_order_visit`, which calls Python at every node: a fifth of a kernel's time to compile.
    tir.stmt_functor.ir_transform(body, look, None, ["tir.BufferStore"])
    return found


def _from_infinity(reduced: dict[Any, type]) -> Callable[[Any], Any]:
    """For stores to those buffers: begins, and pads what is read, with infinity."""

    def store(node: Any) -> Any:
        kind = reduced.get(node.buffer.data)
        if kind is None or not node.value.dtype.startswith("float32"):
            return None
        value: Any = _infinite(node.value, kind)
        if isinstance(value, tir.Max | tir.Min):
            value = kind(_infinite(value.a, kind), _infinite(value.b, kind))
        return tir.BufferStore(node.buffer, value, node.indices)

    return store


def _infinite(value: Any, kind: Any) -> Any:
    """The constant, or the padded value, with infinity for the largest finite number."""
    if _constant(value) == _OF_NOTHING[kind]:
        return tir.const(np.copysign(np.inf, _OF_NOTHING[kind]), value.dtype)
    if isinstance(value, tir.Call) and value.op.same_as(tvm.ir.Op.get("tir.if_then_else")):
        condition, inside, border = value.args
        return tir.if_then_else(condition, inside, _infinite(border, kind))
    return value


def _constant(value: Any) -> float | None:
    """Of a constant, or of a vector of one."""
    if isinstance(value, tir.Broadcast):
        value = value.value
    return float(value.value) if isinstance(value, tir.FloatImm) else None


def _on_arm() -> bool:
    target = tvm.target.Target.current(allow_none=True)
    triple = str(target.attrs.get("mtriple", "")) if target else ""
    return triple.startswith(("aarch64", "arm"))
