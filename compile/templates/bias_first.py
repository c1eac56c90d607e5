# SPDX-License-Identifier: Apache-2.0
"""Sums that start from the bias: an addition less for each vector.

Gives `PASS`, over flattened TIR: where a bias is added to a tile's sums, one number for each output channel,
`lane_kernel`'s calls that make them are given where it is instead, and integer sums that are vectors of
zeros before the first step of a reduction are the bias's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import tir

from mnc.compile.templates.assembly_function import VECTOR_BYTES
from mnc.compile.templates.lane_kernel import PREFIX, Part

FLOAT = 4  # bytes
INTEGERS = 16  # channels in a block of integer sums
UNKNOWN = 0  # how often a loop runs
ALONE = 1 << 20  # apart: more than a tile's sums


@dataclass(frozen=True)
class _Tile:
    """What is done with the sums in one allocation."""

    calls: list[Any]  # that make them
    zeros: list[Any]  # stores that begin them
    loads: list[Any]  # of them
    additions: list[Any]  # of one of those and a number from memory
    loops: dict[Any, int]  # within, by variable: how often, or UNKNOWN


@dataclass(frozen=True)
class _Blocks:
    """Sums of so many channels side by side, pixel after pixel, and `apart` from one such block to the next;
    `first`: index of the first channel's bias.
    """

    channels: int
    apart: int
    first: Any


def _start_from_bias(func: Any, _module: Any, _context: Any) -> Any:
    starts: list[Any] = []
    tir.stmt_functor.ir_transform(
        func.body,
        lambda node: starts.append(node) if _makes_sums(node) or _is_zeros(node) else None,
        None,
        ["tir.Call", "tir.BufferStore"],
    )
    if not starts:
        return func
    return func.with_body(
        tir.stmt_functor.ir_transform(func.body, None, _allocated, ["tir.Allocate"])
    )


PASS = tir.transform.prim_func_pass(_start_from_bias, opt_level=0, name="mnc.StartFromBias")


def _is_zeros(node: Any) -> bool:
    """Whether it stores a vector of integer zeros."""
    if not isinstance(node, tir.BufferStore) or not isinstance(node.value, tir.Broadcast):
        return False
    number = node.value.value
    return isinstance(number, tir.IntImm) and number.dtype == "int32" and int(number) == 0


def _makes_sums(node: Any) -> bool:
    by_name = isinstance(node, tir.Call) and node.op.same_as(tvm.ir.Op.get("tir.call_extern"))
    if not by_name or not node.args[0].value.startswith(PREFIX):
        return False
    return not node.args[0].value.endswith((Part.BIASED, Part.BEGUN, Part.FIRST, Part.NEXT))


def _allocated(node: Any) -> Any:
    tile = _tile(node)
    one_each = len(tile.loads) == len(tile.additions) == 1
    if not one_each or not (tile.calls or tile.zeros):
        return None
    (addition,) = tile.additions
    sums, bias = sorted((addition.a, addition.b), key=lambda one: not one.same_as(tile.loads[0]))
    blocks = _blocks(tile, sums, bias)
    if blocks is None:
        return None
    body = tir.stmt_functor.ir_transform(
        node.body,
        None,
        _rewriting(tile, addition, sums, bias.buffer, blocks),
        ["tir.Call", "tir.Add", "tir.BufferStore"],
    )
    return tir.Allocate(
        node.buffer_var, node.dtype, node.extents, node.condition, body, node.annotations
    )


def _tile(node: Any) -> _Tile:
    found = _Tile([], [], [], [], {})

    def of_sums(one: Any) -> bool:
        own = isinstance(one, tir.BufferLoad) and one.buffer.data.same_as(node.buffer_var)
        return own and not isinstance(one.indices[0], tir.Ramp)  # which a step of a reduction reads

    def look(one: Any) -> None:
        if _makes_sums(one) and one.args[1].args[1].same_as(node.buffer_var):
            found.calls.append(one)
        elif _is_zeros(one) and one.buffer.data.same_as(node.buffer_var):
            found.zeros.append(one)
        elif isinstance(one, tir.For):
            known = isinstance(one.extent, tir.IntImm)
            found.loops[one.loop_var] = int(one.extent) if known else UNKNOWN
        elif of_sums(one):
            found.loads.append(one)
        elif isinstance(one, tir.Add):
            sides = (one.a, one.b)
            if any(map(of_sums, sides)) and all(isinstance(a, tir.BufferLoad) for a in sides):
                found.additions.append(one)

    tir.stmt_functor.post_order_visit(node.body, look)
    return found


def _blocks(tile: _Tile, sums: Any, bias: Any) -> _Blocks | None:
    """None unless there is one bias for each channel, and the next for the next."""
    variables = list(tile.loops)
    of_sums = tvm.arith.detect_linear_equation(sums.indices[0], variables)
    of_bias = tvm.arith.detect_linear_equation(bias.indices[0], variables)
    # In half precision parts of a sum could leave the range, where the sum with the bias is within.
    kind = "float32" if tile.calls else "int32"
    if not bias.dtype == sums.dtype == kind or not of_sums or not of_bias:
        return None
    steps = list(zip(tile.loops.values(), of_sums, of_bias, strict=False))
    block, apart = _sizes(tile, steps)
    last = 0  # of a channel's pixels
    for extent, number, channel in steps:
        lane = number == channel == 1 and extent <= block
        pixel = channel == 0 and number % block == 0
        another = channel % block == 0 and number * block == channel * apart
        unknown = extent == UNKNOWN and not number == channel == 0
        if unknown or not (lane or pixel or another):
            return None
        last += int(number) * (extent - 1) if pixel else 0
    whole = of_sums[-1] == 0 and last + block <= apart and apart % block == 0
    return _Blocks(block, apart, of_bias[-1]) if whole else None


def _sizes(tile: _Tile, steps: list[tuple[int, Any, Any]]) -> tuple[int, int]:
    """Channels of a block, and from one block to the next."""
    if tile.calls:
        return VECTOR_BYTES // FLOAT, int(tile.calls[0].args[-1]) // FLOAT
    others = (int(number) for _, number, channel in steps if channel == INTEGERS)
    return INTEGERS, next(others, ALONE)


def _rewriting(
    tile: _Tile, addition: Any, sums: Any, bias: Any, blocks: _Blocks
) -> Callable[[Any], Any]:
    def rewritten(node: Any) -> Any:
        if node.same_as(addition):
            return sums
        if any(map(node.same_as, tile.zeros)):
            at, lanes = node.indices[0].base, node.value.lanes
            block, lane = at // blocks.apart, at % blocks.channels
            index = tir.Ramp(blocks.first + block * blocks.channels + lane, 1, lanes)
            return tir.BufferStore(node.buffer, tir.BufferLoad(bias, [index]), node.indices)
        if _makes_sums(node):
            name, *others = node.args
            where = bias.access_ptr("r", offset=blocks.first)
            biased = tir.StringImm(name.value + Part.BIASED)
            return tir.Call(node.dtype, node.op, [biased, *others, where])
        return None

    return rewritten
