# SPDX-License-Identifier: Apache-2.0
"""x86-64 moves of integers: plain, extended, exchanged, under a condition, of addresses.

Takes a `Line`; gives an `Instruction`.
"""

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.x86.operands import Memory, Register, parse
from mnc.compile.simulator.decoders.x86.values import (
    Handler,
    finish,
    load,
    register,
    size_of,
    target_of,
    value,
)
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, Op


def _move(line: Line) -> Instruction:
    target, source = parse(line).all
    size = size_of(target, source)
    draft = Draft(Class.INT)
    if isinstance(source, Memory) and isinstance(target, Register) and size >= 4:
        draft.cls = Class.LOAD_INT
        load(draft, source, size, into=target.number)
        draft.write(target.number)
        return draft.finish()
    if isinstance(source, Memory):
        draft.cls = Class.LOAD_INT
    if isinstance(target, Memory):
        draft.cls = Class.STORE_INT
        return finish(draft, target, register(draft, source, size))
    b, constant = value(draft, source, size)
    result = target_of(draft, target)
    draft.emit(Op.MOV, size=max(size, 4), dst=result, b=b, imm=constant)
    return finish(draft, target, result)


def _move_extended(line: Line) -> Instruction:
    target, source = parse(line).all
    size, signed = size_of(source), line.mnemonic.startswith("movs")
    if not isinstance(target, Register) or target.size < 4:
        raise SimulationError("extension to a small register")
    draft = Draft(Class.INT)
    draft.write(target.number)
    if isinstance(source, Memory):
        draft.cls = Class.LOAD_INT
        load(draft, source, size, into=target.number, signed_to=target.size if signed else 0)
        return draft.finish()
    a = register(draft, source, size)
    op = Op.BITS_S if signed else Op.BITS_U
    draft.emit(op, size=target.size, dst=target.number, a=a, c=8 * size)
    return draft.finish()


def _lea(line: Line) -> Instruction:
    target, source = parse(line).all
    if not isinstance(target, Register) or not isinstance(source, Memory) or target.size < 4:
        raise SimulationError("lea to a small register")
    draft = Draft(Class.INT)
    fields = {"a": source.base, "b": source.index, "shift": source.scale}
    draft.emit(Op.ADD, size=target.size, dst=target.number, imm=source.displacement, **fields)
    draft.read(*source.registers)
    draft.write(target.number)
    return draft.finish()


def _exchange(line: Line) -> Instruction:
    left, right = parse(line).all
    if not isinstance(left, Register) or not isinstance(right, Register) or left.size < 4:
        if left == right:  # xchg ax, ax is a nop
            return Instruction(Class.NOP)
        raise SimulationError("exchange with memory")
    draft = Draft(Class.INT)
    kept = draft.temporary()
    draft.emit(Op.MOV, dst=kept, b=left.number)
    draft.emit(Op.MOV, size=left.size, dst=left.number, b=right.number)
    draft.emit(Op.MOV, size=left.size, dst=right.number, b=kept)
    draft.read(left.number, right.number)
    draft.write(left.number, right.number)
    return draft.finish()


def _swap_bytes(line: Line) -> Instruction:
    (target,) = parse(line).all
    draft = Draft(Class.INT)
    a = register(draft, target, size_of(target))
    draft.emit(Op.REVERSE_BYTES, size=size_of(target), dst=a, a=a)
    return finish(draft, target, a)


def select(line: Line, condition: Condition) -> Instruction:
    """cmov."""
    target, source = parse(line).all
    size = size_of(target)
    draft = Draft(Class.INT)
    draft.read(FLAGS)
    old, new = register(draft, target, size), register(draft, source, size)
    result = target_of(draft, target)
    draft.emit(Op.SELECT, size=max(size, 4), dst=result, a=new, b=old, c=condition)
    return finish(draft, target, result)


def set_byte(line: Line, condition: Condition) -> Instruction:
    """set: 1 if the condition holds, else 0."""
    (target,) = parse(line).all
    draft = Draft(Class.INT)
    draft.read(FLAGS)
    one = draft.temporary()
    opposite = condition ^ 1  # conditions come in pairs
    draft.emit(Op.SELECT_INC, dst=one, a=ZERO, b=ZERO, c=opposite)
    return finish(draft, target, one)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("mov", "movabs"), _move),
    **dict.fromkeys(("movzx", "movsx", "movsxd"), _move_extended),
    "lea": _lea,
    "xchg": _exchange,
    "bswap": _swap_bytes,
}
