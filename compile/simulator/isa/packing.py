# SPDX-License-Identifier: Apache-2.0
"""Instructions and micro-ops as the C code reads them.

Takes instructions with their addresses; gives arrays of `struct insn` and `struct micro_op`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mnc.compile.simulator.isa.instructions import MAX_DST, MAX_SRC, NONE, Instruction
from mnc.compile.simulator.isa.micro_ops import MicroOp

MICRO_OP = np.dtype(
    [(name, "u1") for name in ("op", "size", "dst", "a", "b", "c", "shift", "modify")]
    + [("imm", "<i8")]
)
INSN = np.dtype(
    [
        ("address", "<u8"),
        ("first", "<u4"),
        ("count", "<u2"),
        ("flops", "<u2"),
        *((name, "u1") for name in ("cls", "width", "flags", "loads", "stores")),
        *((name, "u1") for name in ("accumulator", "base_update", "first_address")),
        ("n_dst", "u1"),
        ("n_src", "u1"),
        ("dst", "u1", (MAX_DST,)),
        ("src", "u1", (MAX_SRC,)),
        ("options", "u1"),
        ("spare", "u1"),
    ]
)

Array = np.ndarray[Any, Any]


def pack(code: Sequence[tuple[int, Instruction]]) -> tuple[Array, Array]:
    """Instructions with their addresses as arrays of `struct insn` and `struct micro_op`."""
    ops: list[MicroOp] = []
    rows = []
    for address, one in code:
        rows.append(_row(address, one, len(ops)))
        ops += one.micro_ops
    return np.array(rows, INSN), np.array([_signed(op) for op in ops], MICRO_OP)


def _signed(op: MicroOp) -> MicroOp:
    """Constants of 64 bits may be written without a sign."""
    return op if op.imm < 1 << 63 else op._replace(imm=op.imm - (1 << 64))


def _row(address: int, one: Instruction, first: int) -> tuple[Any, ...]:
    sizes = (first, len(one.micro_ops), one.flops)
    kind = (one.cls, one.width, one.flags, one.loads, one.stores)
    indices = (one.accumulator, one.base_update, one.first_address)
    counts = (len(one.dst), len(one.src))
    dst = _padded(one.dst, MAX_DST)
    src = _padded(one.src, MAX_SRC)
    return (address, *sizes, *kind, *indices, *counts, dst, src, 0, 0)


def _padded(registers: tuple[int, ...], size: int) -> tuple[int, ...]:
    return registers + (NONE,) * (size - len(registers))
