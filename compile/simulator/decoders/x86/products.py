# SPDX-License-Identifier: Apache-2.0
"""x86-64 multiplications and divisions of integers.

Takes a `Line`; gives an `Instruction`.
"""

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.decoders.x86.operands import Operand, Register, parse
from mnc.compile.simulator.decoders.x86.values import (
    Handler,
    finish,
    flags_unknown,
    register,
    size_of,
    target_of,
)
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import Modify, Op

RAX, RDX = 0, 2


def _multiply(line: Line) -> Instruction:
    operands = parse(line).all
    if len(operands) == 1:
        return _wide_multiply(line, operands[0])
    target, left, right = operands if len(operands) == 3 else (operands[0], *operands)
    size = size_of(target)
    if size < 4:
        raise SimulationError("imul of small registers")
    draft = Draft(Class.MUL)
    a, b = register(draft, left, size), register(draft, right, size)
    result = target_of(draft, target)
    draft.emit(Op.MUL, size=size, dst=result, a=a, b=b)
    flags_unknown(draft)
    return finish(draft, target, result)


def _wide_multiply(line: Line, operand: Operand) -> Instruction:
    size = size_of(operand)
    if size < 4:
        raise SimulationError("wide multiplication of small registers")
    draft = Draft(Class.MUL)
    b = register(draft, operand, size)
    high = draft.temporary()
    op = Op.MULH_U if line.mnemonic == "mul" else Op.MULH_S
    draft.emit(op, size=size, dst=high, a=RAX, b=b)
    draft.emit(Op.MUL, size=size, dst=RAX, a=RAX, b=b)
    draft.emit(Op.MOV, dst=RDX, b=high)
    draft.read(RAX)
    draft.write(RAX, RDX)
    flags_unknown(draft)
    return draft.finish()


def _multiply_without_flags(line: Line) -> Instruction:
    """mulx: rdx times a source, to a high and a low register."""
    high, low, source = parse(line).all
    size = size_of(high)
    high, low = expect(Register, high), expect(Register, low)
    draft = Draft(Class.MUL)
    b, upper = register(draft, source, size), draft.temporary()
    draft.emit(Op.MULH_U, size=size, dst=upper, a=RDX, b=b)
    draft.emit(Op.MUL, size=size, dst=low.number, a=RDX, b=b)
    draft.emit(Op.MOV, size=size, dst=high.number, b=upper)
    draft.read(RDX)
    draft.write(high.number, low.number)
    return draft.finish()


def _divide(line: Line) -> Instruction:
    """Of rdx:rax; a 64-bit dividend is taken to be rax extended into rdx, as compilers have it."""
    (operand,) = parse(line).all
    size, signed = size_of(operand), line.mnemonic == "idiv"
    if size < 4:
        raise SimulationError("division of small registers")
    draft = Draft(Class.DIV)
    b = register(draft, operand, size)
    dividend, divisor = RAX, b
    if size == 4:
        dividend, divisor = draft.temporary(), draft.temporary()
        draft.emit(Op.MOV, size=4, dst=dividend, b=RAX)
        draft.emit(Op.OR, dst=dividend, a=dividend, b=RDX, shift=32)
        extend = Modify.SXTW if signed else Modify.UXTW
        draft.emit(Op.MOV, dst=divisor, b=b, modify=extend)
    quotient = draft.temporary()
    draft.emit(Op.DIV_S if signed else Op.DIV_U, dst=quotient, a=dividend, b=divisor)
    draft.emit(Op.REM_S if signed else Op.REM_U, dst=RDX, a=dividend, b=divisor)
    draft.emit(Op.MOV, size=size, dst=RAX, b=quotient)
    draft.emit(Op.MOV, size=size, dst=RDX, b=RDX)
    draft.read(RAX, RDX)
    draft.write(RAX, RDX)
    flags_unknown(draft)
    return draft.finish()


def _extend_accumulator(line: Line) -> Instruction:
    draft = Draft(Class.INT)
    draft.read(RAX)
    if line.mnemonic in ("cdq", "cqo"):
        size = 4 if line.mnemonic == "cdq" else 8
        draft.emit(Op.SAR, size=size, dst=RDX, a=RAX, imm=8 * size - 1)
        draft.write(RDX)
    else:
        size = {"cwde": 4, "cdqe": 8}[line.mnemonic]
        draft.emit(Op.BITS_S, size=size, dst=RAX, a=RAX, c=4 * size)
        draft.write(RAX)
    return draft.finish()


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("imul", "mul"), _multiply),
    "mulx": _multiply_without_flags,
    **dict.fromkeys(("div", "idiv"), _divide),
    **dict.fromkeys(("cdq", "cqo", "cwde", "cdqe"), _extend_accumulator),
}
