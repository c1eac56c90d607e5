# SPDX-License-Identifier: Apache-2.0
"""Which tiles of sums are stored in 8 bits by their assembly, and where they say their bytes go."""

from typing import Any

import pytest
import tvm
from tvm import tir

from mnc.compile.templates import store_first

PIXELS, CHANNELS = 5, 16


def _kernel(pixel_bytes: int, *, fenced: bool = True) -> Any:
    """Two calls, of three and two pixels, whose bytes lie so far apart."""
    sums = tir.decl_buffer((PIXELS * CHANNELS,), "int32", "sums")
    out = tir.decl_buffer((4096,), "int8", "out")
    bias = tir.decl_buffer((64,), "int32", "bias")
    factors = tir.decl_buffer((64,), "float32", "factors")
    x, v, c = tir.Var("x", "int32"), tir.Var("v", "int32"), tir.Var("c", "int32")
    number = sums[x * CHANNELS + v] + bias[c * CHANNELS + v]
    whole = tir.call_intrin("float32", "tir.reinterpret", number) - tir.FloatImm("float32", 8474520)
    value = whole * factors[c * CHANNELS + v]
    if fenced:
        name = "llvm.arithmetic.fence"
        value = tir.call_llvm_pure_intrin("float32", name, tir.const(1, "uint32"), value)
    level = value + tir.FloatImm("float32", 12582784)
    half = tir.Cast("int16", tir.call_intrin("int32", "tir.reinterpret", level))
    kept = tir.Max(tir.Min(half, tir.const(127, "int16")), tir.const(-128, "int16"))
    place = c * 1024 + x * pixel_bytes + v
    body: Any = tir.BufferStore(out, tir.Cast("int8", kept), [place])
    body = tir.For(v, 0, CHANNELS, tir.ForKind.VECTORIZED, body)
    body = tir.For(x, 0, PIXELS, tir.ForKind.UNROLLED, body)
    calls = [
        tir.Evaluate(tir.call_extern("int32", "mnc_taps_x", sums.access_ptr("w", offset=first)))
        for first in (0, 3 * CHANNELS)
    ]
    body = tir.Allocate(
        sums.data, "int32", [PIXELS * CHANNELS], tir.const(1, "bool"), tir.SeqStmt([*calls, body])
    )
    body = tir.For(c, 0, 4, tir.ForKind.SERIAL, body)
    return tir.PrimFunc([out, bias, factors], body)


def _calls(func: Any) -> list[tuple[str, Any]]:
    """Name and where the result goes, of functions that are called after the pass."""
    changed = store_first.PASS(tvm.IRModule({"main": func}))["main"]
    found: list[tuple[str, Any]] = []

    def look(node: Any) -> None:
        if isinstance(node, tir.Call) and node.op.same_as(tvm.ir.Op.get("tir.call_extern")):
            found.append((node.args[0].value, node.args[1].args[2]))

    tir.stmt_functor.post_order_visit(changed.body, look)
    return found


def test_bytes_go_where_the_loops_had_stored_them() -> None:
    (first, at), (second, later) = _calls(_kernel(CHANNELS))
    assert (first, second) == ("mnc_taps_x_stored", "mnc_taps_x_stored")
    assert int(tvm.arith.Analyzer().simplify(later - at)) == 3 * CHANNELS


@pytest.mark.parametrize(
    "func", [_kernel(2 * CHANNELS), _kernel(CHANNELS, fenced=False)], ids=["apart", "fusible"]
)
def test_sums_that_are_stored_otherwise_stay_sums(func: Any) -> None:
    assert [name for name, _ in _calls(func)] == ["mnc_taps_x", "mnc_taps_x"]
