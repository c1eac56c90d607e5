# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM loads and stores of integer registers, one or many, in `HANDLERS`.

Takes a `Line` and its `Name`; gives the parts of the instruction: lists of registers are cut into fours.
"""

from collections.abc import Callable

from mnc.compile.simulator.decoders.arm.operands import (
    PC,
    SP,
    Integer,
    List,
    Memory,
    Name,
    Operand,
    parse,
)
from mnc.compile.simulator.decoders.arm.values import ArmDraft, address, draft_at, update, value
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Op

_SIZES = {"b": 1, "h": 2, "sb": 1, "sh": 2, "": 4, "d": 4}
PART = 4  # registers of a list in one part


def _load(line: Line, name: Name) -> tuple[Instruction, ...]:
    return (_single(line, name, is_load=True),)


def _store(line: Line, name: Name) -> tuple[Instruction, ...]:
    return (_single(line, name, is_load=False),)


def _single(line: Line, name: Name, *, is_load: bool) -> Instruction:
    operands = parse(line.operands)
    registers = [one.number for one in operands if isinstance(one, Integer)]
    where = next(i for i, one in enumerate(operands) if isinstance(one, Memory))
    registers, memory, after = registers[:where], operands[where], operands[where + 1 :]
    memory = expect(Memory, memory)
    draft = draft_at(line, name, Class.LOAD_INT if is_load else Class.STORE_INT)
    kind = name.stem[3:]
    fields = address(draft, memory)
    loaded = []
    # The load must leave the registers of the address until its sum is written back.
    direct = len(registers) == 1 and not (memory.writeback and memory.index is not None)
    for i, register in enumerate(registers):
        at = fields | {"imm": fields["imm"] + 4 * i}
        if is_load:
            loaded.append((register, _load_one(draft, kind, at, register, direct=direct)))
        else:
            draft.emit(Op.STORE, size=_SIZES[kind], dst=draft.source(register), **at)
            draft.stores += 1
    _write_back(draft, memory, after, fields)
    _settle(draft, loaded)
    return draft.finish()


def _load_one(
    draft: ArmDraft, kind: str, at: dict[str, int], register: int, *, direct: bool
) -> int:
    """Where the value went: to the register itself if it is not needed for the next address."""
    result = draft.goal(register) if direct else draft.temporary()
    draft.loads += 1
    if kind in ("sb", "sh"):
        draft.emit(Op.LOAD_S, size=_SIZES[kind], dst=result, c=4, **at)
    else:
        draft.emit(Op.LOAD, size=_SIZES[kind], dst=result, **at)
    return result


def _settle(draft: ArmDraft, loaded: list[tuple[int, int]]) -> None:
    """Registers get what was loaded; a jump comes last."""
    for register, result in sorted(loaded):
        if register == PC:
            draft.cls = Class.BRANCH
        elif not draft.conditional and result != register:
            draft.emit(Op.MOV, size=4, dst=register, b=result)
        draft.settle(register, result)


def _write_back(
    draft: ArmDraft, memory: Memory, after: tuple[Operand, ...], where: dict[str, int]
) -> None:
    if after:
        update(draft, memory.base, **value(draft, after[0]))
    elif memory.writeback and memory.index is None:
        update(draft, memory.base, imm=memory.offset)
    elif memory.writeback:
        goal = draft.goal(memory.base)
        draft.emit(Op.ADD, size=4, dst=goal, **where)
        draft.settle(memory.base, goal)
        draft.base_update = memory.base


def _double(line: Line, name: Name) -> tuple[Instruction, ...]:
    """ldrd and strd: two registers, one access of 8 bytes as far as timing goes."""
    return (_single(line, Name(name.stem, name.condition), is_load=name.stem == "ldrd"),)


def _multiple(line: Line, name: Name) -> tuple[Instruction, ...]:
    """ldm, stm, push, pop and their modes."""
    stem, operands = name.stem, parse(line.operands)
    registers = [one.number for one in _list(operands[-1]).all if isinstance(one, Integer)]
    if stem in ("push", "pop"):
        base, writeback, mode = SP, True, "db" if stem == "push" else "ia"
    else:
        base, writeback = expect(Integer, operands[0]).number, "!" in line.operands.split(",")[0]
        mode = stem[3:] or "ia"
    is_load = stem.startswith(("ldm", "pop"))
    size = 4 * len(registers)
    start = {"ia": 0, "ib": 4, "db": -size, "da": 4 - size}[mode]
    change = (size if mode[0] == "i" else -size) if writeback else 0
    return _parts(line, name, registers, base, start, change, is_load=is_load)


def _list(operand: Operand) -> List:
    return expect(List, operand)


def _parts(
    line: Line,
    name: Name,
    registers: list[int],
    base: int,
    start: int,
    change: int,
    *,
    is_load: bool,
) -> tuple[Instruction, ...]:
    if base in registers and is_load and len(registers) > PART:
        raise SimulationError("a long list with its own base")
    parts = []
    for at in range(0, len(registers), PART):
        draft = draft_at(line, name, Class.LOAD_INT if is_load else Class.STORE_INT)
        some = registers[at : at + PART]
        # The base moves with the last part, and by then counts from where it began.
        fields = address(draft, Memory(base, start + 4 * at))
        last = at + PART >= len(registers)
        loaded = [
            (register, _element(draft, register, fields, 4 * i, is_load, base not in registers))
            for i, register in enumerate(some)
        ]
        if last and change:
            update(draft, base, imm=change)
        if is_load:
            _settle(draft, loaded)
        draft.flags |= Flag.CONTINUES if at else 0
        parts.append(draft.finish())
    return tuple(parts)


def _element(
    draft: ArmDraft, register: int, fields: dict[str, int], offset: int, is_load: bool, direct: bool
) -> int:
    at = fields | {"imm": fields["imm"] + offset}
    if is_load:
        return _load_one(draft, "", at, register, direct=direct)
    draft.emit(Op.STORE, size=4, dst=draft.source(register), **at)
    draft.stores += 1
    return ZERO


def _prefetch(line: Line, name: Name) -> tuple[Instruction, ...]:
    (operand,) = parse(line.operands)
    memory = expect(Memory, operand)
    draft = draft_at(line, name, Class.PREFETCH)
    draft.emit(Op.PREFETCH, size=1, **address(draft, memory))
    draft.loads += 1
    return (draft.finish(),)


Handler = Callable[[Line, Name], tuple[Instruction, ...]]
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("ldr", "ldrb", "ldrh", "ldrsb", "ldrsh"), _load),
    **dict.fromkeys(("str", "strb", "strh"), _store),
    **dict.fromkeys(("ldrd", "strd"), _double),
    **{
        f"{word}{mode}": _multiple
        for word in ("ldm", "stm")
        for mode in ("", "ia", "ib", "da", "db")
    },
    **dict.fromkeys(("push", "pop"), _multiple),
    **dict.fromkeys(("pld", "pldw"), _prefetch),
}
