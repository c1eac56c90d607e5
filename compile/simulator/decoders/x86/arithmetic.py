# SPDX-License-Identifier: Apache-2.0
"""x86-64 integer arithmetic: one handler a group of mnemonics, in `HANDLERS`.

Takes a `Line`; gives an `Instruction`. SimulationError for a form that LLVM does not emit.
"""

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.x86.operands import Operand, Register, parse
from mnc.compile.simulator.decoders.x86.values import (
    Handler,
    finish,
    flags,
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

_PLAIN = {"add": Op.ADD, "sub": Op.SUB, "and": Op.AND, "or": Op.OR, "xor": Op.XOR, "sbb": Op.SBC}


def _arithmetic(line: Line) -> Instruction:
    target, source = parse(line).all
    size, name = size_of(target, source), line.mnemonic
    draft = Draft(Class.INT)
    if name in ("xor", "sub") and target == source:  # zero, whatever was there: free of dependence
        number = _size_free(target)
        draft.emit(Op.MOV, dst=number, size=size)
        draft.write(number)
        flags_of_result(draft, number, size)
        return draft.finish()
    a = register(draft, target, size)
    b, constant = value(draft, source, size)
    width = max(size, 4)
    result = target_of(draft, target)
    if name in ("add", "sub"):
        op = Op.FLAGS_SUB if name == "sub" else Op.FLAGS_ADD_BORROW
        flags(draft, op, a, (b, constant), size)
    if name == "sbb":
        draft.read(FLAGS)
    draft.emit(_PLAIN[name], size=width, dst=result, a=a, b=b, imm=constant)
    if name in ("and", "or", "xor"):
        flags_of_result(draft, result, size)
    if name == "sbb":
        flags_unknown(draft)
    return finish(draft, target, result)


def _size_free(target: Operand) -> int:
    if not isinstance(target, Register) or target.size < 4:
        raise SimulationError("a small register set to zero by itself")
    return target.number


def _add_with_carry(line: Line) -> Instruction:
    target, source = parse(line).all
    size = size_of(target, source)
    if size < 4:
        raise SimulationError("adc of a small register")
    draft = Draft(Class.INT)
    draft.read(FLAGS)
    a = register(draft, target, size)
    b, constant = value(draft, source, size)
    minus_carry, result = draft.temporary(), target_of(draft, target)
    draft.emit(Op.SBC, size=size, dst=minus_carry)
    partial = draft.temporary()
    draft.emit(Op.SUB, size=size, dst=partial, a=a, b=minus_carry)
    draft.emit(Op.ADD, size=size, dst=result, a=partial, b=b, imm=constant)
    flags_unknown(draft)
    return finish(draft, target, result)


def _compare(line: Line) -> Instruction:
    left, right = parse(line).all
    size = size_of(left, right)
    draft = Draft(Class.INT)
    a = register(draft, left, size)
    if line.mnemonic == "cmp":
        flags(draft, Op.FLAGS_SUB, a, value(draft, right, size), size)
    else:
        flags(draft, Op.FLAGS_LOGIC, a, value(draft, right, size), size)
    return draft.finish()


def _unary(line: Line) -> Instruction:
    (target,) = parse(line).all
    size = size_of(target)
    draft = Draft(Class.INT)
    a = register(draft, target, size)
    width, result = max(size, 4), target_of(draft, target)
    if line.mnemonic in ("inc", "dec"):
        # The carry should stay; code that counts on it across an inc is not written by LLVM.
        step = 1 if line.mnemonic == "inc" else -1
        flags(draft, Op.FLAGS_SUB, a, (ZERO, -step), size)
        draft.emit(Op.ADD, size=width, dst=result, a=a, imm=step)
    elif line.mnemonic == "neg":
        flags(draft, Op.FLAGS_SUB, ZERO, (a, 0), size)
        draft.emit(Op.SUB, size=width, dst=result, a=ZERO, b=a)
    else:
        draft.emit(Op.ORN, size=width, dst=result, a=ZERO, b=a)
    return finish(draft, target, result)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("add", "sub", "and", "or", "xor", "sbb"), _arithmetic),
    "adc": _add_with_carry,
    **dict.fromkeys(("cmp", "test"), _compare),
    **dict.fromkeys(("inc", "dec", "neg", "not"), _unary),
}
