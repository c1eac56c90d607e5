# SPDX-License-Identifier: Apache-2.0
"""Sums of `lane_kernel`'s functions that start from the bias: an addition less for each vector.

Gives `PASS`, over flattened TIR: where a bias is added to a tile's sums, one number for each output channel,
the calls that make them are given where it is instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import tir

from mnc.compile.templates.assembly_function import VECTOR_BYTES
from mnc.compile.templates.lane_kernel import PREFIX, Part

FLOAT = 4  # bytes


@dataclass(frozen=True)
class _Tile:
    """What is done with the sums in one allocation."""

    calls: list[Any]  # that make them
    loads: list[Any]  # of them
    additions: list[Any]  # of one of those and a number from memory
    loops: dict[Any, int]  # around, by variable: how often


def _start_from_bias(func: Any, _module: Any, _context: Any) -> Any:
    calls: list[Any] = []
    tir.stmt_functor.ir_transform(
        func.body,
        lambda node: calls.append(node) if _makes_sums(node) else None,
        None,
        ["tir.Call"],
    )
    if not calls:
        return func
    return func.with_body(
        tir.stmt_functor.ir_transform(func.body, None, _allocated, ["tir.Allocate"])
    )


PASS = tir.transform.prim_func_pass(_start_from_bias, opt_level=0, name="mnc.StartFromBias")


def _makes_sums(node: Any) -> bool:
    by_name = node.op.same_as(tvm.ir.Op.get("tir.call_extern"))
    if not by_name or not node.args[0].value.startswith(PREFIX):
        return False
    return not node.args[0].value.endswith((Part.BIASED, Part.BEGUN, Part.FIRST, Part.NEXT))


def _allocated(node: Any) -> Any:
    tile = _tile(node)
    if not tile.calls or len(tile.loads) != 1 or len(tile.additions) != 1:
        return None
    (addition,) = tile.additions
    sums, bias = sorted((addition.a, addition.b), key=lambda one: not one.same_as(tile.loads[0]))
    first = _first_of_channels(tile, sums, bias)
    if first is None:
        return None
    body = tir.stmt_functor.ir_transform(
        node.body,
        None,
        _rewriting(addition, sums, bias.buffer.access_ptr("r", offset=first)),
        ["tir.Call", "tir.Add"],
    )
    return tir.Allocate(
        node.buffer_var, node.dtype, node.extents, node.condition, body, node.annotations
    )


def _tile(node: Any) -> _Tile:
    found = _Tile([], [], [], {})

    def of_sums(one: Any) -> bool:
        return isinstance(one, tir.BufferLoad) and one.buffer.data.same_as(node.buffer_var)

    def look(one: Any) -> None:
        if (
            isinstance(one, tir.Call)
            and _makes_sums(one)
            and one.args[1].args[1].same_as(node.buffer_var)
        ):
            found.calls.append(one)
        elif isinstance(one, tir.For):
            found.loops[one.loop_var] = int(one.extent)
        elif of_sums(one):
            found.loads.append(one)
        elif isinstance(one, tir.Add):
            sides = (one.a, one.b)
            if any(map(of_sums, sides)) and all(isinstance(a, tir.BufferLoad) for a in sides):
                found.additions.append(one)

    tir.stmt_functor.post_order_visit(node.body, look)
    return found


def _first_of_channels(tile: _Tile, sums: Any, bias: Any) -> Any:
    """Index of the bias of the tile's first channel; None unless there is one number for each channel, and
    the next for the next.
    """
    variables = list(tile.loops)
    of_sums = tvm.arith.detect_linear_equation(sums.indices[0], variables)
    of_bias = tvm.arith.detect_linear_equation(bias.indices[0], variables)
    # In half precision parts of a sum could leave the range, where the sum with the bias is within.
    if not bias.dtype == sums.dtype == "float32" or not of_sums or not of_bias:
        return None
    block, apart = VECTOR_BYTES // FLOAT, int(tile.calls[0].args[-1]) // FLOAT
    last = 0  # of a channel's pixels
    for extent, number, channel in zip(tile.loops.values(), of_sums, of_bias, strict=False):
        lane = number == channel == 1 and extent <= block
        pixel = channel == 0 and number % block == 0
        if not (lane or pixel or number * block == channel * apart):
            return None
        last += int(number) * (extent - 1) if pixel else 0
    return of_bias[-1] if of_sums[-1] == 0 and last + block <= apart else None


def _rewriting(addition: Any, sums: Any, bias: Any) -> Callable[[Any], Any]:
    def rewritten(node: Any) -> Any:
        if node.same_as(addition):
            return sums
        if isinstance(node, tir.Call) and _makes_sums(node):
            name, *others = node.args
            return tir.Call(
                node.dtype, node.op, [tir.StringImm(name.value + Part.BIASED), *others, bias]
            )
        return None

    return rewritten
