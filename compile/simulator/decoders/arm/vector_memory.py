# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM loads and stores of vector registers: vldr, vldmia, vld1 to vld4 and their stores.

Takes a `Line` and its `Name`; gives the parts of the instruction. Registers that make up a quadword are one
access; long lists are cut into parts of two accesses.
"""

import re
from collections.abc import Callable

from mnc.compile.simulator.decoders.arm.operands import (
    SP,
    Integer,
    List,
    Memory,
    Name,
    Operand,
    Vector,
    parse,
)
from mnc.compile.simulator.decoders.arm.values import ArmDraft, address, draft_at, update, value
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import Op

PART = 2  # accesses of a list in one part
_STRUCTURE = re.compile(r"v(ld|st)([1-4])$")


def _one(line: Line, name: Name) -> tuple[Instruction, ...]:
    """vldr and vstr."""
    register, memory = parse(line.operands)
    register, memory = expect(Vector, register), expect(Memory, memory)
    draft = _draft(line, name)
    fields = address(draft, memory)
    _access(draft, name, [register], fields)
    return (draft.finish(),)


def _draft(line: Line, name: Name) -> ArmDraft:
    is_load = name.stem.startswith(("vld", "vpop"))
    return draft_at(line, name, Class.LOAD_VEC if is_load else Class.STORE_VEC)


def _access(draft: ArmDraft, name: Name, registers: list[Vector], at: dict[str, int]) -> None:
    """One access of neighbouring registers of one quadword."""
    first, size = registers[0], sum(one.size for one in registers)
    draft.width = max(draft.width, size)
    fields = {"dst": first.number, "size": size} | at
    whole = size == 16
    lane = {} if whole else {"c": first.offset // size}
    if draft.cls == Class.STORE_VEC:
        draft.read_timed(first.timed)
        draft.emit(Op.V_STORE if whole else Op.V_STORE_LANE, **fields, **lane)
        draft.stores += 1
        return
    draft.write_timed(first.timed)
    draft.loads += 1
    if draft.conditional:
        draft.read_timed(first.timed, FLAGS)
        draft.emit(Op.TOUCH_LOAD, size=size, **at)
        draft.emit(Op.V_UNKNOWN, dst=first.number)
    else:
        draft.emit(Op.V_LOAD if whole else Op.V_LOAD_LANE, **fields, **lane)


def _grouped(registers: list[Vector]) -> list[list[Vector]]:
    """Neighbours that make up a quadword go together."""
    groups: list[list[Vector]] = []
    for one in registers:
        last = groups[-1] if groups else []
        size = sum(other.size for other in last)
        if last and last[0].number == one.number and last[0].offset + size == one.offset:
            last.append(one)
        else:
            groups.append([one])
    # Three s registers are no access of their own; nor is a pair that begins in the middle.
    return [part for group in groups for part in _accessible(group)]


def _accessible(group: list[Vector]) -> list[list[Vector]]:
    size = sum(one.size for one in group)
    fits = size in (4, 8, 16) and group[0].offset % size == 0
    return [group] if fits else [[one] for one in group]


def _many(line: Line, name: Name) -> tuple[Instruction, ...]:
    """vldmia, vldmdb, vstmia, vstmdb, vpush, vpop."""
    operands = parse(line.operands)
    registers = _registers(operands[-1])
    size = sum(one.size for one in registers)
    if name.stem in ("vpush", "vpop"):
        base, writeback = SP, True
        down = name.stem == "vpush"
    else:
        base, writeback = expect(Integer, operands[0]).number, "!" in line.operands.split("{")[0]
        down = name.stem.endswith("db")
    change = (-size if down else size) if writeback else 0
    return _parts(line, name, registers, base, -size if down else 0, {"imm": change})


def _registers(operand: Operand) -> list[Vector]:
    return [one for one in expect(List, operand).all if isinstance(one, Vector)]


def _parts(
    line: Line, name: Name, registers: list[Vector], base: int, start: int, change: dict[str, int]
) -> tuple[Instruction, ...]:
    groups, parts, offset = _grouped(registers), [], start
    for at in range(0, len(groups), PART):
        draft = _draft(line, name)
        for group in groups[at : at + PART]:
            _access(draft, name, group, address(draft, Memory(base, offset)))
            offset += sum(one.size for one in group)
        if at + PART >= len(groups) and change.get("imm", 1):
            if "b" in change:
                draft.read(change["b"])
            update(draft, base, **change)
        draft.flags |= Flag.CONTINUES if at else 0
        parts.append(draft.finish())
    return tuple(parts)


def _structure(line: Line, name: Name) -> tuple[Instruction, ...]:
    """vld1 to vld4 and vst1 to vst4: whole registers, one lane of each, or one value to all lanes."""
    operands = parse(line.operands)
    registers, memory = _registers(operands[0]), operands[1]
    match = _STRUCTURE.match(name.stem)
    if not isinstance(memory, Memory) or match is None:
        raise SimulationError("operands")
    size = int(re.sub(r"\D", "", name.kind)) // 8
    if registers[0].lane is not None:
        return (_lanes(line, name, registers, memory, operands[2:], size),)
    change = _change(line, name, memory, operands[2:], sum(one.size for one in registers))
    parts = _parts(line, name, registers, memory.base, 0, change)
    if match[2] != "1" and match[1] == "ld":
        parts = tuple(_unknown(one) for one in parts)
    return parts


def _unknown(part: Instruction) -> Instruction:
    """Lanes are shuffled on the way: nobody follows which value went where."""
    ops = list(part.micro_ops)
    ops += [
        type(one)(Op.V_UNKNOWN, dst=one.dst) for one in ops if one.op in (Op.V_LOAD, Op.V_LOAD_LANE)
    ]
    return part._replace(micro_ops=tuple(ops))


def _change(
    line: Line, name: Name, memory: Memory, after: tuple[Operand, ...], size: int
) -> dict[str, int]:
    """By what the base moves."""
    if after:
        return value(_draft(line, name), after[0])
    return {"imm": size if memory.writeback else 0}


def _lanes(
    line: Line,
    name: Name,
    registers: list[Vector],
    memory: Memory,
    after: tuple[Operand, ...],
    size: int,
) -> Instruction:
    draft = _draft(line, name)
    to_all = registers[0].lane == -1
    is_load = draft.cls == Class.LOAD_VEC
    number = int(name.stem[-1])
    if is_load:
        draft.cls = Class.LOAD_BROADCAST if to_all else Class.LOAD_LANE
    fields = address(draft, Memory(memory.base, memory.offset))
    draft.width = 16 if len(registers) > 1 and number == 1 else registers[0].size
    draft.emit(Op.TOUCH_LOAD if is_load else Op.TOUCH_STORE, **(fields | {"size": size * number}))
    draft.loads += is_load
    draft.stores += not is_load
    for one in registers:
        if not is_load or not to_all:
            draft.read_timed(one.timed)
        if is_load:
            draft.write_timed(one.timed)
            draft.emit(Op.V_UNKNOWN, dst=one.number)
    change = _change(line, name, memory, after, size * number)
    if change.get("imm", 1):
        if "b" in change:
            draft.read(change["b"])
        update(draft, memory.base, **change)
    return draft.finish()


Handler = Callable[[Line, Name], tuple[Instruction, ...]]
_MANY = ("vldmia", "vldmdb", "vldm", "vstmia", "vstmdb", "vstm", "vpush", "vpop")
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("vldr", "vstr"), _one),
    **dict.fromkeys(_MANY, _many),
    **{f"v{word}{n}": _structure for word in ("ld", "st") for n in (1, 2, 3, 4)},
}
