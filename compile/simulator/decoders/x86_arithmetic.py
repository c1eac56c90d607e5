# SPDX-License-Identifier: Apache-2.0
"""x86-64 integer arithmetic: one handler a group of mnemonics, in `HANDLERS`.

Takes a `Line`; gives an `Instruction`. ValueError for a form that LLVM does not emit.
"""

from collections.abc import Callable

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.x86_operands import Constant, Memory, Operand, Register, parse
from mnc.compile.simulator.decoders.x86_values import (
    finish,
    flags,
    flags_of_result,
    flags_unknown,
    register,
    size_of,
    target_of,
    value,
)
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Modify, Op

RAX, RDX = 0, 2
_PLAIN = {"add": Op.ADD, "sub": Op.SUB, "and": Op.AND, "or": Op.OR, "xor": Op.XOR, "sbb": Op.SBC}
_SHIFTS = {"shl": Op.SHL, "sal": Op.SHL, "shr": Op.SHR, "sar": Op.SAR, "ror": Op.ROR}
_COUNTS = {"popcnt": Op.POPCOUNT, "lzcnt": Op.CLZ, "tzcnt": Op.CTZ, "bsf": Op.CTZ}


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
        raise ValueError("a small register set to zero by itself")
    return target.number


def _add_with_carry(line: Line) -> Instruction:
    target, source = parse(line).all
    size = size_of(target, source)
    if size < 4:
        raise ValueError("adc of a small register")
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


def _shift(line: Line) -> Instruction:
    target, *rest = parse(line).all
    count = rest[0] if rest else Constant(1)
    size = size_of(target)
    draft = Draft(Class.SHIFT)
    a = _small(draft, target, size, signed=line.mnemonic == "sar")
    if line.mnemonic == "rol":
        if not isinstance(count, Constant):
            raise ValueError("rol by a register")
        op, b, constant = Op.ROR, ZERO, -count.value % (8 * size)
    else:
        op = _SHIFTS[line.mnemonic]
        b, constant = value(draft, count, 1)
    if size < 4 and op == Op.ROR:
        raise ValueError("rotation of a small register")
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
        raise ValueError("double shift by a register")
    draft = Draft(Class.SHIFT)
    a, b = register(draft, target, size), register(draft, source, size)
    high, low, shift = (b, a, count.value) if line.mnemonic == "shrd" else (a, b, -count.value)
    result = target_of(draft, target)
    draft.emit(Op.EXTRACT, size=size, dst=result, a=high, b=low, shift=shift % (8 * size))
    flags_unknown(draft)
    return finish(draft, target, result)


def _multiply(line: Line) -> Instruction:
    operands = parse(line).all
    if len(operands) == 1:
        return _wide_multiply(line, operands[0])
    target, left, right = operands if len(operands) == 3 else (operands[0], *operands)
    size = size_of(target)
    if size < 4:
        raise ValueError("imul of small registers")
    draft = Draft(Class.MUL)
    a, b = register(draft, left, size), register(draft, right, size)
    result = target_of(draft, target)
    draft.emit(Op.MUL, size=size, dst=result, a=a, b=b)
    flags_unknown(draft)
    return finish(draft, target, result)


def _wide_multiply(line: Line, operand: Operand) -> Instruction:
    size = size_of(operand)
    if size < 4:
        raise ValueError("wide multiplication of small registers")
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
    if not isinstance(high, Register) or not isinstance(low, Register):
        raise ValueError("targets")
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
        raise ValueError("division of small registers")
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
        raise ValueError("bit of memory at a distance")
    draft = Draft(Class.INT)
    a = register(draft, target, size)
    b, constant = value(draft, position, size)
    bit = draft.temporary()
    draft.emit(Op.SHR, size=size, dst=bit, a=a, b=b, imm=constant)
    draft.emit(Op.FLAGS_BORROW, a=bit)
    draft.write(FLAGS)
    return draft.finish()


HANDLERS: dict[str, Callable[[Line], Instruction]] = {
    **dict.fromkeys(("add", "sub", "and", "or", "xor", "sbb"), _arithmetic),
    "adc": _add_with_carry,
    **dict.fromkeys(("cmp", "test"), _compare),
    **dict.fromkeys(("inc", "dec", "neg", "not"), _unary),
    **dict.fromkeys(("shl", "sal", "shr", "sar", "ror", "rol"), _shift),
    **dict.fromkeys(("shlx", "shrx", "sarx", "rorx"), _shift_without_flags),
    **dict.fromkeys(("shld", "shrd"), _double_shift),
    **dict.fromkeys(("imul", "mul"), _multiply),
    "mulx": _multiply_without_flags,
    **dict.fromkeys(("div", "idiv"), _divide),
    **dict.fromkeys(("cdq", "cqo", "cwde", "cdqe"), _extend_accumulator),
    **dict.fromkeys(("popcnt", "lzcnt", "tzcnt", "bsf", "bsr"), _count_bits),
    **dict.fromkeys(("andn", "blsr", "blsi", "blsmsk"), _bit_trick),
    **dict.fromkeys(("bextr", "bzhi"), _bit_field),
    "bt": _bit_test,
}
