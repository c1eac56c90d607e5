# SPDX-License-Identifier: Apache-2.0
"""A table of 256 numbers looked up for each byte of a blocked map, by instructions that look up a vector.

Takes data (N, C, H, W, b) and a table of as many bytes, entry i for the byte that is i without a sign; gives
a map of the table's type. For CPUs without such instructions there is a load for each byte instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import te, tir, topi

from mnc.compile.templates import blocked
from mnc.compile.templates.widening import llvm

Looked = Callable[[list[Any], Any], Any]


@dataclass(frozen=True)
class Lookup:
    """`emit` gives, of a table's parts of `part` bytes and a vector of `lanes` bytes, what they are there."""

    lanes: int
    part: int
    emit: Looked


def _by_tbl(parts: list[Any], bytes_: Any) -> Any:
    """64 entries at once, in four registers; what a byte beyond them finds, stays: tbl, tbx."""
    found = llvm("int8x16", "llvm.aarch64.neon.tbl4.v16i8", *parts[:4], bytes_)
    for first in range(64, 256, 64):
        some = parts[first // 16 : first // 16 + 4]
        at = bytes_ - tir.const(first - 256 * (first > 127), "int8x16")
        found = llvm("int8x16", "llvm.aarch64.neon.tbx4.v16i8", found, *some, at)
    return found


def _by_vpermi2b(parts: list[Any], bytes_: Any) -> Any:
    """128 entries at once, in two registers; the sign says which: vpermi2b."""
    low, high = (
        llvm("int8x64", "llvm.x86.avx512.vpermi2var.qi.512", first, bytes_, second)
        for first, second in (parts[:2], parts[2:])
    )
    return tir.Select(bytes_ < tir.const(0, "int8x64"), high, low)


TBL, VPERMI2B = Lookup(16, 16, _by_tbl), Lookup(64, 64, _by_vpermi2b)


def available(shape: tuple[int, ...]) -> Lookup | None:
    """The current target's, for a blocked map of this shape."""
    has_feature = tvm.get_global_func("target.llvm_cpu_has_feature")
    if blocked.on_arm():
        found = TBL if blocked.vector_registers() == 32 else None
    else:
        found = VPERMI2B if has_feature("avx512vbmi", tvm.target.Target.current()) else None
    _, _, height, width, block = shape
    return found if found and height * width * block % found.lanes == 0 else None


def compute(data: Any, table: Any) -> Any:
    """The map of what the table says."""
    shape = topi.utils.get_const_tuple(data.shape)
    found = available(shape)
    if found is None:  # a program for another CPU, on this one
        return te.compute(shape, lambda *at: table[data[at].astype("uint8").astype("int32")])
    return te.extern(
        [shape],
        [data, table],
        lambda ins, outs: _planes(found, shape, ins, outs[0]),
        dtype=[table.dtype],
        name="lookup",
    )


def _planes(found: Lookup, shape: tuple[int, ...], ins: Any, out: Any) -> Any:
    """Each plane of a block of channels is `lanes` bytes after another."""
    batch, chunks, height, width, block = shape
    builder = tir.ir_builder.create()
    vectors = height * width * block // found.lanes
    with (
        builder.for_range(0, batch * chunks, kind="parallel", name="plane") as plane,
        builder.for_range(0, vectors, name="vector") as vector,
    ):
        at = [plane // chunks, plane % chunks, 0, 0, vector * found.lanes]
        signed = f"int8x{found.part}"
        parts = [
            _as(signed, ins[1].vload([first], f"{ins[1].dtype}x{found.part}"))
            for first in range(0, 256, found.part)
        ]
        bytes_ = ins[0].vload(at, f"{ins[0].dtype}x{found.lanes}")
        looked = found.emit(parts, _as(f"int8x{found.lanes}", bytes_))
        builder.emit(out.vstore(at, _as(f"{out.dtype}x{found.lanes}", looked)))
    return builder.get()


def _as(kind: str, value: Any) -> Any:
    return value if value.dtype == kind else tir.call_intrin(kind, "tir.reinterpret", value)
