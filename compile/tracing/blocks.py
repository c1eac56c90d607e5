# SPDX-License-Identifier: Apache-2.0
"""Blocks of traced code, decoded as they turn up: what the core model reads, and the lines that a listing
shows.

Takes the words of AArch64 instructions; gives arrays of `struct insn` and, beside it, `struct entry` of
replay.c.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mnc.compile.simulator.decoders.aarch64 import decode as aarch64
from mnc.compile.simulator.decoders.disassembly import disassemble
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FIRST_VECTOR, Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import SINK, ZERO, MicroOp, Modify, Op
from mnc.compile.simulator.isa.packing import INSN, pack
from mnc.compile.tracing import whole_programs
from mnc.support.errors import UserError

ROOM = 1 << 18  # insns
NO_PLACE = 0xFFFF
ENTRY = np.dtype([("place", "<u2"), ("origin", "<u2"), ("by", "<i4")])
_ACCESSES = frozenset(
    (
        *(Op.LOAD, Op.LOAD_S, Op.STORE, Op.TOUCH_LOAD, Op.TOUCH_STORE),
        *(Op.V_LOAD, Op.V_STORE, Op.V_LOAD_LANE, Op.V_STORE_LANE, Op.V_LOAD_DUP),
    )
)
WAITS = ("yield", "wfe")  # what loops hold that wait for another thread
GHOST = Line(0, 4, "", "")
UNKNOWN = Instruction(Class.NOP)  # told from others by identity


@dataclass(frozen=True)
class Place:
    """An address as far as the code tells: `by` bytes beyond what register `register` held when it had been
    written for the `version`th time in its block.
    """

    register: int
    version: int
    by: int


class Blocks:
    """All blocks met so far. `lines[i]` is the machine instruction that `insns[i]` is (a part of),
    `unknown` the places of those that the decoder has no model of, `waiting` the blocks that spin until
    another thread is done.
    """

    def __init__(self) -> None:
        self.insns = np.zeros(ROOM, INSN)
        self.entries = np.zeros(ROOM, ENTRY)
        self.lines: list[Line] = []
        self._known: dict[int, range] = {}
        self.unknown: set[int] = set()
        self.waiting: set[int] = set()

    def decoded(self, number: int, address: int, code: bytes) -> range:
        """Where the insns of block `number` lie. UserError where a program runs too much code."""
        if number not in self._known:
            lines = disassemble(code, address, "aarch64")
            self._known[number] = self._add(address, lines)
            if any(line.mnemonic in WAITS for line in lines):
                self.waiting.add(number)
        return self._known[number]

    def _add(self, address: int, lines: list[Line]) -> range:
        parts = [(line, part) for line in lines for part in _parts(line)]
        first = len(self.lines) + 1  # a ghost lies before each block: replay.c
        if first + len(parts) > ROOM:
            raise UserError(
                f"the region runs more than {ROOM:,} different instructions; choose a smaller one"
            )
        self.lines += [GHOST, *(line for line, _ in parts)]
        found = range(first, len(self.lines))
        self.insns[first : found.stop] = pack([(line.address, part) for line, part in parts])[0]
        places = [(line.address - address) // 4 for line, _ in parts]
        self.entries["place"][first : found.stop] = places
        self._place_prefetches(found, places, [part for _, part in parts])
        self.unknown |= {first + k for k, (_, part) in enumerate(parts) if part is UNKNOWN}
        return found

    def _place_prefetches(self, found: range, places: list[int], parts: list[Instruction]) -> None:
        """The emulator tells no address of a prefetch: another access by the same register does."""
        self.entries["origin"][found.start : found.stop] = NO_PLACE
        known = dict(_places(parts))
        for k, part in enumerate(parts):
            if part.cls == Class.PREFETCH and k in known:
                near = _nearest(k, known, parts)
                if near is not None:
                    by = known[k].by - known[near].by
                    self.entries[found.start + k] = (places[k], places[near], by)
                    continue
            if part.cls == Class.PREFETCH:
                self.insns["loads"][found.start + k] = 0
                self.insns["cls"][found.start + k] = Class.NOP


def _parts(line: Line) -> tuple[Instruction, ...]:
    try:
        return aarch64.decode(line)
    except SimulationError:
        return whole_programs.decode(line) or (UNKNOWN,)


def _nearest(k: int, known: dict[int, Place], parts: list[Instruction]) -> int | None:
    """The access closest to prefetch `k` whose address differs from its by a constant."""
    mine = known[k]
    others = [
        j
        for j, place in known.items()
        if parts[j].cls != Class.PREFETCH
        and (place.register, place.version) == (mine.register, mine.version)
    ]
    return min(others, key=lambda j: abs(j - k), default=None)


def _places(parts: Iterable[Instruction]) -> Iterator[tuple[int, Place]]:
    """The address of the first access of each instruction that has a constant distance from a register."""
    versions: dict[int, Place] = {}
    for k, part in enumerate(parts):
        moved = set()
        first = True
        for op in part.micro_ops:
            base = versions.get(op.a, Place(op.a, 0, 0))
            if (op.op in _ACCESSES or op.op == Op.PREFETCH) and first:
                first = False
                if op.b == ZERO:
                    yield k, Place(base.register, base.version, base.by + op.imm)
            elif (known := _moved(op)) is not None:
                register, by = known
                base = versions.get(register, Place(register, 0, 0))
                versions[op.dst] = Place(base.register, base.version, base.by + by)
                moved.add(op.dst)
        for register in part.dst:
            if register < FIRST_VECTOR and register not in moved and register != SINK:
                versions[register] = Place(register, k + 1, 0)


def _moved(op: MicroOp) -> tuple[int, int] | None:
    """The register of 64 bits that it copies, and the bytes that it adds; None where it does not do that."""
    if op.size != 8 or op.modify != Modify.LSL or op.shift:
        return None
    if op.op == Op.MOV and op.b != ZERO:
        return op.b, 0
    if op.op in (Op.ADD, Op.SUB) and op.b == ZERO:
        return op.a, op.imm if op.op == Op.ADD else -op.imm
    return None
