# SPDX-License-Identifier: Apache-2.0
"""Tiles of a depthwise convolution whose assembly stores bytes itself, so that no sum goes through memory.

Gives `PASS`, over flattened TIR: where a tile's sums are made by functions with PREFIX and then only stored
in 8 bits as `frontend/storing.py` has it, the functions' variants of `stored_sums` are called instead.
"""

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import tir

from mnc.compile.templates.depthwise_tile import BLOCK
from mnc.compile.templates.stored_sums import Bounds

PREFIX = "mnc_taps"


@dataclass(frozen=True)
class _Storing:
    """How one sum is stored: loads of it, of its bias and of its factor, then numbers."""

    sums: Any
    bias: Any
    factor: Any
    whole: float
    rounder: float
    bounds: Bounds
    ends: tuple[float, float]

    @property
    def numbers(self) -> list[Any]:
        """As the functions take them: the bits of floats, bytes as they are."""
        kept = [_bits(one) for one in self.ends]
        if self.bounds is not Bounds.FLOATS:
            kept = [int(one) for one in self.ends]
        return [tir.const(n, "int64") for n in (_bits(self.whole), _bits(self.rounder), *kept)]


def _bits(value: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def allocations_pass(change: Callable[[Any], Any], name: str) -> Any:
    """A pass that makes `change` to the allocations of functions which call one of a tile's sums."""

    def changed(func: Any, _module: Any, _context: Any) -> Any:
        found: list[Any] = []
        tir.stmt_functor.post_order_visit(
            func.body, lambda node: found.append(node) if _makes_sums(node) else None
        )
        if not found:
            return func
        body = tir.stmt_functor.ir_transform(func.body, None, change, ["tir.Allocate"])
        return func.with_body(body)

    return tir.transform.prim_func_pass(changed, opt_level=0, name=name)


def _makes_sums(node: Any) -> bool:
    by_name = isinstance(node, tir.Call) and node.op.same_as(tvm.ir.Op.get("tir.call_extern"))
    return bool(by_name and node.args[0].value.startswith(PREFIX))


def _allocated(node: Any) -> Any:
    calls, stores, loops = _parts(node)
    storing = _storing(stores[0].value) if calls and len(stores) == 1 else None
    if storing is None or not storing.sums.buffer.data.same_as(node.buffer_var):
        return None
    starts = _starts(storing, stores[0], loops, calls)
    if starts is None:
        return None

    def rewritten(one: Any) -> Any:
        if one.same_as(stores[0]):
            return tir.Evaluate(0)
        for call, start in zip(calls, starts, strict=True):
            if one.same_as(call):
                return _stored(call, storing, stores[0].buffer, start)
        return None

    kinds = ["tir.Call", "tir.BufferStore"]
    return tir.stmt_functor.ir_transform(node.body, None, rewritten, kinds)


def _parts(node: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Calls that make sums in this allocation, all stores, all loops."""
    calls: list[Any] = []
    stores: list[Any] = []
    loops: list[Any] = []

    def look(one: Any) -> None:
        if _makes_sums(one) and one.args[1].args[1].same_as(node.buffer_var):
            calls.append(one)
        elif isinstance(one, tir.BufferStore):
            stores.append(one)
        elif isinstance(one, tir.For):
            loops.append(one)

    tir.stmt_functor.post_order_visit(node.body, look)
    return calls, stores, loops


def _stored(call: Any, storing: _Storing, out: Any, start: tuple[Any, Any, Any]) -> Any:
    name, _, *others = call.args
    written, bias, factor = start
    places = [
        storing.bias.buffer.access_ptr("r", offset=bias),
        storing.factor.buffer.access_ptr("r", offset=factor),
    ]
    place = out.access_ptr("w", offset=written)
    arguments = [tir.StringImm(name.value + storing.bounds), place, *others]
    return tir.Call(call.dtype, call.op, [*arguments, *places, *storing.numbers])


def _starts(
    storing: _Storing, store: Any, loops: list[Any], calls: list[Any]
) -> list[tuple[Any, Any, Any]] | None:
    """Where each call's bytes go, and its biases and factors are; None unless pixels follow one another."""
    if not all(isinstance(one.extent, tir.IntImm) for one in loops):
        return None
    variables = [one.loop_var for one in loops]
    indices = [one.indices[0] for one in (storing.sums, store, storing.bias, storing.factor)]
    linear = [tvm.arith.detect_linear_equation(one, variables) for one in indices]
    if not all(linear):
        return None
    steps = [tuple(map(int, some)) for some in zip(*(one[:-1] for one in linear), strict=True)]
    extents = [int(one.extent) for one in loops]
    places: dict[int, int] = {}  # of a pixel's first byte, by that of its first sum
    lanes = [extent for extent, some in zip(extents, steps, strict=True) if some == (1, 1, 1, 1)]
    pixels = [
        (extent, some) for extent, some in zip(extents, steps, strict=True) if some != (1, 1, 1, 1)
    ]
    if lanes != [BLOCK] or any(some[2:] != (0, 0) for _, some in pixels):
        return None
    for at in itertools.product(*(range(extent) for extent, _ in pixels)):
        number = sum(i * some[0] for i, (_, some) in zip(at, pixels, strict=True))
        places[number] = sum(i * some[1] for i, (_, some) in zip(at, pixels, strict=True))
    first = [int(call.args[1].args[2]) for call in calls]
    ends = [*sorted(first)[1:], max(places) + BLOCK]
    upto = dict(zip(sorted(first), ends, strict=True))
    if sorted(places) != list(range(0, len(places) * BLOCK, BLOCK)) or linear[0][-1] != 0:
        return None
    for one in first:
        if any(places[at] - places[one] != at - one for at in range(one, upto[one], BLOCK)):
            return None
    return [(linear[1][-1] + places[one], linear[2][-1], linear[3][-1]) for one in first]


def _storing(value: Any) -> _Storing | None:
    """How a byte is made of a sum, where it is by `storing.narrowed` or `storing.rounded`."""
    level, bounds, ends = _level(value)
    shifted, rounder = _with_number(_reinterpreted(level, "int32"), tir.Add)
    if bounds is Bounds.FLOATS:
        product, ends = _kept(shifted, "float32")
        known = ends is not None
    else:
        product, known = _fenced(shifted), bounds is not None
    if not known or not isinstance(product, tir.Mul):
        return None
    begun, whole = _with_number(product.a, tir.Sub)
    total = _reinterpreted(begun, "float32")
    if not isinstance(total, tir.Add) or rounder is None or whole is None or bounds is None:
        return None
    loads = (total.a, total.b, product.b)
    if not all(isinstance(one, tir.BufferLoad) for one in loads):
        return None
    return _Storing(*loads, whole, rounder, bounds, ends or (0, 0))


def _level(value: Any) -> tuple[Any, Bounds | None, tuple[float, float] | None]:
    """The integer that a byte is made of, and how."""
    value, ends = _kept(value, "int8")
    if not isinstance(value, tir.Cast) or value.dtype != "int8":
        return None, None, None
    value, saturated = _kept(value.value, "int16")
    if saturated == (-128, 127) and isinstance(value, tir.Cast) and value.dtype == "int16":
        return value.value, Bounds.BYTES if ends else Bounds.SATURATED, ends
    return (None, None, None) if saturated or ends else (value, Bounds.FLOATS, None)


def _kept(value: Any, dtype: str) -> tuple[Any, tuple[float, float] | None]:
    """What is kept within bounds, and those."""
    if not isinstance(value, tir.Max) or value.dtype != dtype or not isinstance(value.a, tir.Min):
        return value, None
    return value.a.a, (value.b.value, value.a.b.value)


def _with_number(value: Any, kind: Any) -> tuple[Any, float | None]:
    if not isinstance(value, kind) or not isinstance(value.b, tir.FloatImm):
        return None, None
    return value.a, value.b.value


def _fenced(value: Any) -> Any:
    """What a fence keeps from being fused."""
    known = tvm.target.codegen.llvm_lookup_intrinsic_id("llvm.arithmetic.fence")
    called = isinstance(value, tir.Call) and isinstance(value.args[0], tir.IntImm)
    return value.args[-1] if called and int(value.args[0]) == known else None


def _reinterpreted(value: Any, dtype: str) -> Any:
    known = isinstance(value, tir.Call) and value.op.same_as(tvm.ir.Op.get("tir.reinterpret"))
    return value.args[0] if known and value.dtype == dtype else None


PASS = allocations_pass(_allocated, "mnc.StoreFirst")
