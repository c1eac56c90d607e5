# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM moves: between vector registers, to and from integer registers, of constants, to all lanes.

Takes a `Line` and its `Name`; gives the instruction.
"""

import re

from mnc.compile.simulator.decoders.arm.operands import (
    Constant,
    Integer,
    Name,
    Operand,
    Vector,
    parse,
)
from mnc.compile.simulator.decoders.arm.values import ArmDraft, Handler, draft_at
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import Op


def vectors_of(operands: tuple[Operand, ...]) -> list[Vector]:
    return [one for one in operands if isinstance(one, Vector)]


def write_vector(draft: ArmDraft, target: Vector) -> None:
    draft.write_timed(target.timed)
    if draft.conditional:
        draft.read_timed(FLAGS, target.timed)


def lane_bytes(name: Name, default: int) -> int:
    digits = re.search(r"(\d+)$", name.kind)
    return int(digits[1]) // 8 if digits else default


def copy(draft: ArmDraft, target: Vector, source: Vector) -> None:
    """vmov of vector registers, which is written vorr."""
    draft.cls = Class.VEC_MOVE
    draft.ops.clear()
    if draft.conditional:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    elif target.size == 16:
        draft.emit(Op.V_MOVE, dst=target.number, a=source.number, c=16)
    else:
        fields = {"dst": target.number, "a": source.number, "size": target.size}
        lane, from_lane = target.offset // target.size, source.offset // source.size
        draft.emit(Op.V_SET_LANE, shift=lane, imm=from_lane, **fields)


def _move(line: Line, name: Name) -> Instruction:
    """vmov: between vector registers, to and from integer registers, of constants."""
    operands = parse(line.operands)
    target, source = operands[0], operands[-1]
    draft = draft_at(line, name, Class.VEC_MOVE)
    if isinstance(target, Vector) and isinstance(source, Integer):
        return _from_integers(draft, name, target, operands[1:])
    if isinstance(target, Integer):
        return _to_integers(draft, name, operands)
    target = expect(Vector, target)
    draft.width = target.size
    write_vector(draft, target)
    if isinstance(source, Vector):
        draft.read_timed(source.timed)
        copy(draft, target, source)
    else:
        draft.cls = Class.VEC_INT
        _fill(draft, name, target, source)
    return draft.finish()


def _fill(draft: ArmDraft, name: Name, target: Vector, source: Operand) -> None:
    constant = isinstance(source, Constant) and ".i" in name.kind and target.size == 16
    if isinstance(source, Constant) and constant and not draft.conditional:
        lane = lane_bytes(name, 4)
        value = source.value - (1 << 64) if source.value >= 1 << 63 else source.value
        draft.emit(Op.V_FILL, dst=target.number, size=lane, c=16, imm=value)
    else:
        draft.emit(Op.V_UNKNOWN, dst=target.number)


def _from_integers(
    draft: ArmDraft, name: Name, target: Vector, sources: tuple[Operand, ...]
) -> Instruction:
    draft.cls, draft.width = Class.INT_TO_VEC, target.size
    write_vector(draft, target)
    if target.size < 16:
        draft.read_timed(target.timed)
    size = lane_bytes(name, 4)
    position = target.offset // size + (target.lane or 0)
    for i, one in enumerate(sources):
        if isinstance(one, Integer):
            number = draft.source(one.number)
            draft.emit(Op.V_SET, dst=target.number, a=number, size=size, shift=position + i)
    if draft.conditional:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()


def _to_integers(draft: ArmDraft, name: Name, operands: tuple[Operand, ...]) -> Instruction:
    draft.cls = Class.VEC_TO_INT
    source = vectors_of(operands)[0]
    draft.width = source.size
    draft.read_timed(source.timed)
    size = lane_bytes(name, 4)
    position = source.offset // size + (source.lane or 0)
    op = Op.V_GET_S if ".s" in name.kind else Op.V_GET
    targets = [one.number for one in operands if isinstance(one, Integer)]
    for i, register in enumerate(targets):
        goal = draft.goal(register)
        draft.emit(op, dst=goal, a=source.number, size=size, shift=position + i, c=4)
        draft.settle(register, goal)
    return draft.finish()


def _duplicate(line: Line, name: Name) -> Instruction:
    target, source = parse(line.operands)
    target = expect(Vector, target)
    draft = draft_at(line, name, Class.VEC_PERMUTE)
    draft.width = target.size
    write_vector(draft, target)
    size = lane_bytes(name, 4)
    fields = {"dst": target.number, "size": size, "c": 16}
    whole = target.size == 16 and not draft.conditional
    if isinstance(source, Integer):
        draft.cls = Class.INT_TO_VEC
        number = draft.source(source.number)
        if whole:
            draft.emit(Op.V_DUP, a=number, **fields)
    elif isinstance(source, Vector):
        draft.read_timed(source.timed)
        if whole:
            shift = source.offset // size + (source.lane or 0)
            draft.emit(Op.V_DUP_LANE, a=source.number, shift=shift, **fields)
    if not whole:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()


HANDLERS: dict[str, Handler] = {
    "vmov": _move,
    "vdup": _duplicate,
}
