# SPDX-License-Identifier: Apache-2.0
"""x86-64 shifts, and instructions that count, test, extract and clear bits.

Takes a `Line`; gives an `Instruction`.
"""

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.decoders.x86.operands import Constant, Memory, Operand, parse
from mnc.compile.simulator.decoders.x86.values import (
    Handler,
    finish,
    flags_of_result,
    flags_unknown,
    register,
    size_of,
    target_of,
    value,
)
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Op

_SHIFTS = {"shl": Op.SHL, "sal": Op.SHL, "shr": Op.SHR, "sar": Op.SAR, "ror": Op.ROR}
_COUNTS = {"popcnt": Op.POPCOUNT, "lzcnt": Op.CLZ, "tzcnt": Op.CTZ, "bsf": Op.CTZ}


def _shift(line: Line) -> Instruction:
    target, *rest = parse(line).all
    count = rest[0] if rest else Constant(1)
    size = size_of(target)
    draft = Draft(Class.SHIFT)
    a = _small(draft, target, size, signed=line.mnemonic == "sar")
    if line.mnemonic == "rol":
        count = expect(Constant, count)
        op, b, constant = Op.ROR, ZERO, -count.value % (8 * size)
    else:
        op = _SHIFTS[line.mnemonic]
        b, constant = value(draft, count, 1)
    if size < 4 and op == Op.ROR:
        raise SimulationError("rotation of a small register")
    result = target_of(draft, target)
    if isinstance(count, Constant) and line.mnemonic in ("shr", "sar"):
        last_out = draft.temporary()
        draft.emit(op, size=max(size, 4), dst=last_out, a=a, imm=constant - 1)
        draft.emit(op, size=max(size, 4), dst=result, a=a, imm=constant)
        flags_of_result(draft, result, size)
        draft.emit(Op.FLAGS_BORROW, a=last_out)
    else:
        draft.emit(op, size=max(size, 4), dst=result, a=a, b=b, imm=constant)
        if b == ZERO:
            flags_of_result(draft, result, size)
        else:
            flags_unknown(draft)
    return finish(draft, target, result)


def _small(draft: Draft, operand: Operand, size: int, *, signed: bool) -> int:
    """The operand's value, extended to 4 bytes when it is smaller."""
    number = register(draft, operand, size)
    if size >= 4:
        return number
    wide = draft.temporary()
    op = Op.BITS_S if signed else Op.BITS_U
    draft.emit(op, size=4, dst=wide, a=number, c=8 * size)
    return wide


def _shift_without_flags(line: Line) -> Instruction:
    target, source, count = parse(line).all
    size = size_of(target)
    draft = Draft(Class.SHIFT)
    a = register(draft, source, size)
    b, constant = value(draft, count, size)
    op = _SHIFTS[line.mnemonic[:-1]]
    result = target_of(draft, target)
    draft.emit(op, size=size, dst=result, a=a, b=b, imm=constant)
    return finish(draft, target, result)


def _double_shift(line: Line) -> Instruction:
    target, source, count = parse(line).all
    size = size_of(target)
    if not isinstance(count, Constant) or size < 4:
        raise SimulationError("double shift by a register")
    draft = Draft(Class.SHIFT)
    a, b = register(draft, target, size), register(draft, source, size)
    high, low, shift = (b, a, count.value) if line.mnemonic == "shrd" else (a, b, -count.value)
    result = target_of(draft, target)
    draft.emit(Op.EXTRACT, size=size, dst=result, a=high, b=low, shift=shift % (8 * size))
    flags_unknown(draft)
    return finish(draft, target, result)


def _count_bits(line: Line) -> Instruction:
    target, source = parse(line).all
    size = size_of(target)
    draft = Draft(Class.MUL)  # the unit of multiplications, three cycles
    a = register(draft, source, size)
    result = target_of(draft, target)
    if line.mnemonic == "bsr":
        draft.emit(Op.CLZ, size=size, dst=result, a=a)
        draft.emit(Op.RSB, size=size, dst=result, a=result, imm=8 * size - 1)
    else:
        draft.emit(_COUNTS[line.mnemonic], size=size, dst=result, a=a)
    flags_unknown(draft)
    return finish(draft, target, result)


def _bit_trick(line: Line) -> Instruction:
    """andn, and the blsr family: x & (x - 1), x & -x, x ^ (x - 1)."""
    target, source, *rest = parse(line).all
    size = size_of(target)
    draft = Draft(Class.INT)
    if rest:
        a, b = register(draft, rest[0], size), register(draft, source, size)
        result = target_of(draft, target)
        draft.emit(Op.BIC, size=size, dst=result, a=a, b=b)
        flags_of_result(draft, result, size)
        return finish(draft, target, result)
    a, other = register(draft, source, size), draft.temporary()
    op = Op.RSB if line.mnemonic == "blsi" else Op.SUB
    draft.emit(op, dst=other, a=a, imm=0 if op == Op.RSB else 1)
    result = target_of(draft, target)
    op = Op.XOR if line.mnemonic == "blsmsk" else Op.AND
    draft.emit(op, size=size, dst=result, a=a, b=other)
    flags_unknown(draft)
    return finish(draft, target, result)


def _bit_field(line: Line) -> Instruction:
    """bextr (start and length in the bytes of a register) and bzhi (a length)."""
    target, source, control = parse(line).all
    size = size_of(target)
    draft = Draft(Class.SHIFT)
    a, b = register(draft, source, size), register(draft, control, size)
    result, length = draft.temporary(), draft.temporary()
    from_start = line.mnemonic == "bzhi"
    draft.emit(Op.BITS_U, dst=length, a=b, c=8, shift=0 if from_start else 8)
    if from_start:
        draft.emit(Op.MOV, size=size, dst=result, b=a)
    else:
        start = draft.temporary()
        draft.emit(Op.BITS_U, dst=start, a=b, c=8)
        draft.emit(Op.SHR, size=size, dst=result, a=a, b=start)
    beyond = draft.temporary()
    draft.emit(Op.MOV, dst=beyond, imm=-1)
    draft.emit(Op.SHL, dst=beyond, a=beyond, b=length)
    draft.emit(Op.BIC, size=size, dst=result, a=result, b=beyond)
    flags_unknown(draft)
    goal = target_of(draft, target)
    draft.emit(Op.MOV, size=size, dst=goal, b=result)
    return finish(draft, target, goal)


def _bit_test(line: Line) -> Instruction:
    target, position = parse(line).all
    size = size_of(target)
    if isinstance(target, Memory) and not isinstance(position, Constant):
        raise SimulationError("bit of memory at a distance")
    draft = Draft(Class.INT)
    a = register(draft, target, size)
    b, constant = value(draft, position, size)
    bit = draft.temporary()
    draft.emit(Op.SHR, size=size, dst=bit, a=a, b=b, imm=constant)
    draft.emit(Op.FLAGS_BORROW, a=bit)
    draft.write(FLAGS)
    return draft.finish()


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("shl", "sal", "shr", "sar", "ror", "rol"), _shift),
    **dict.fromkeys(("shlx", "shrx", "sarx", "rorx"), _shift_without_flags),
    **dict.fromkeys(("shld", "shrd"), _double_shift),
    **dict.fromkeys(("popcnt", "lzcnt", "tzcnt", "bsf", "bsr"), _count_bits),
    **dict.fromkeys(("andn", "blsr", "blsi", "blsmsk"), _bit_trick),
    **dict.fromkeys(("bextr", "bzhi"), _bit_field),
    "bt": _bit_test,
}
