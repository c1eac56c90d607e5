# SPDX-License-Identifier: Apache-2.0
"""AArch64: a disassembled instruction to an `Instruction`; here what works on integer registers.

Takes a `Line` as LLVM prints it; gives what the interpreter does and what timing must know. Memory is
aarch64_memory's, floating point and vectors aarch64_vector's.
"""

import functools
from collections.abc import Callable

from mnc.compile.simulator.decoders import aarch64_memory, aarch64_vector
from mnc.compile.simulator.decoders.aarch64_memory import integer_write
from mnc.compile.simulator.decoders.aarch64_operands import (
    CONDITIONS,
    LINK,
    SP,
    Integer,
    Modifier,
    Number,
    Operand,
    Word,
    parse,
)
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Abi, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, Modify, Op

ABI = Abi(arguments=(0, 1, 2, 3, 4, 5), result=0, stack_pointer=SP, link=LINK, pointer_bytes=8)
Operands = tuple[Operand, ...]

_NOTHING = frozenset(
    "nop hint bti paciasp autiasp pacibsp autibsp dmb dsb isb yield brk udf csdb".split()
)
_THREE = {
    "add": Op.ADD,
    "sub": Op.SUB,
    "and": Op.AND,
    "orr": Op.OR,
    "eor": Op.XOR,
    "bic": Op.BIC,
    "orn": Op.ORN,
    "eon": Op.EON,
}
_SETTING = {"adds": Op.ADD, "subs": Op.SUB, "ands": Op.AND, "bics": Op.BIC}
_FLAGS_OF = {Op.ADD: Op.FLAGS_ADD, Op.SUB: Op.FLAGS_SUB, Op.AND: Op.FLAGS_LOGIC}
_ONLY_FLAGS = {"cmp": Op.FLAGS_SUB, "cmn": Op.FLAGS_ADD, "tst": Op.FLAGS_LOGIC}
_FROM_ZERO = {"neg": Op.SUB, "mvn": Op.ORN, "negs": Op.SUB}
_SHIFT = {"lsl": Op.SHL, "lsr": Op.SHR, "asr": Op.SAR, "ror": Op.ROR}
_MULTIPLY = {"mul": (Op.MADD, 4), "mneg": (Op.MSUB, 4)} | {
    "madd": (Op.MADD, 0),
    "msub": (Op.MSUB, 0),
    "smull": (Op.MADD_WIDE_S, 0),
    "umull": (Op.MADD_WIDE_U, 0),
    "smnegl": (Op.MSUB_WIDE_S, 0),
    "umnegl": (Op.MSUB_WIDE_U, 0),
    "smaddl": (Op.MADD_WIDE_S, 0),
    "umaddl": (Op.MADD_WIDE_U, 0),
    "smsubl": (Op.MSUB_WIDE_S, 0),
    "umsubl": (Op.MSUB_WIDE_U, 0),
    "smulh": (Op.MULH_S, 0),
    "umulh": (Op.MULH_U, 0),
}
_DIVIDE = {"sdiv": Op.DIV_S, "udiv": Op.DIV_U}
_ONE = {
    "clz": Op.CLZ,
    "rbit": Op.REVERSE_BITS,
    "rev": Op.REVERSE_BYTES,
}
_EXTEND = {
    "uxtb": (Op.BITS_U, 8),
    "uxth": (Op.BITS_U, 16),
    "uxtw": (Op.BITS_U, 32),
    "sxtb": (Op.BITS_S, 8),
    "sxth": (Op.BITS_S, 16),
    "sxtw": (Op.BITS_S, 32),
}
_FIELD = {
    "ubfx": Op.BITS_U,
    "sbfx": Op.BITS_S,
    "ubfiz": Op.BITS_SHL_U,
    "sbfiz": Op.BITS_SHL_S,
    "bfi": Op.BITS_INSERT,
    "bfxil": Op.BITS_INSERT_LOW,
}
_SELECT = {
    "csel": Op.SELECT,
    "csinc": Op.SELECT_INC,
    "csinv": Op.SELECT_INV,
    "csneg": Op.SELECT_NEG,
}
_SELECT_ONE = {"cinc": Op.SELECT_INC, "cinv": Op.SELECT_INV, "cneg": Op.SELECT_NEG}
_SELECT_NONE = {"cset": Op.SELECT_INC, "csetm": Op.SELECT_INV}


def decode(line: Line) -> tuple[Instruction, ...]:
    """The parts of one instruction. SimulationError names one that is not known."""
    try:
        if line.mnemonic in _PLACED or line.mnemonic.startswith("b."):
            return (_placed(line),)
        return _decode(line.mnemonic, line.operands)
    except SimulationError as error:
        raise _refusal(line, str(error)) from error
    except (KeyError, ValueError, IndexError, StopIteration, AssertionError) as error:
        raise _refusal(line, type(error).__name__) from error


def _refusal(line: Line, why: str) -> SimulationError:
    return SimulationError(
        f"no model of the AArch64 instruction {line.text!r} at {line.address:#x} ({why})"
    )


@functools.lru_cache(maxsize=16384)
def _decode(mnemonic: str, text: str) -> tuple[Instruction, ...]:
    operands = parse(text)
    if mnemonic in _NOTHING:
        return (Instruction(Class.NOP),)
    if (vector := aarch64_vector.decode(mnemonic, operands)) is not None:
        return (vector,)
    if parts := aarch64_memory.decode(mnemonic, operands):
        return parts
    return (_integer(mnemonic, operands),)


def _integer(mnemonic: str, operands: Operands) -> Instruction:
    for table, handler in _TABLES:
        if mnemonic in table:
            return handler(mnemonic, operands)
    raise SimulationError("unknown mnemonic")


class _Second:
    """The flexible second operand: micro-op fields, and whether it is shifted or extended."""

    def __init__(self, draft: Draft, operands: Operands) -> None:
        first = operands[0]
        modifier = operands[1] if len(operands) > 1 else Modifier(Modify.LSL, 0)
        assert isinstance(modifier, Modifier)
        if isinstance(first, Number):
            self.fields = {"imm": first.value << modifier.amount}
            return
        assert isinstance(first, Integer)
        draft.read(first.number)
        if modifier.amount or modifier.modify != Modify.LSL:
            draft.cls = Class.SHIFT
        self.fields = {
            "b": first.number,
            "modify": modifier.modify,
            "shift": modifier.amount,
        }


def _register(operand: Operand) -> Integer:
    if not isinstance(operand, Integer):
        raise SimulationError("an operand that should be an integer register is not")
    return operand


def _three(mnemonic: str, operands: Operands) -> Instruction:
    """dst = a op second, with flags for adds, subs, ands, bics."""
    draft = Draft(Class.INT)
    target, a = _register(operands[0]), _register(operands[1])
    draft.read(a.number)
    second = _Second(draft, operands[2:])
    op = _THREE.get(mnemonic) or _SETTING[mnemonic]
    size = target.size
    to = integer_write(draft, target)
    if mnemonic in _SETTING:
        draft.write(FLAGS)
        if op in _FLAGS_OF:
            draft.emit(_FLAGS_OF[op], size=size, a=a.number, **second.fields)
    draft.emit(op, size=size, dst=to, a=a.number, **second.fields)
    if mnemonic == "bics":
        draft.emit(Op.FLAGS_LOGIC, size=size, a=to, imm=-1)
    return draft.finish()


def _with_carry(mnemonic: str, operands: Operands) -> Instruction:
    """adc, sbc and what sets flags too; ngc is sbc from zero."""
    draft = Draft(Class.INT)
    target = _register(operands[0])
    name = mnemonic.rstrip("s") if mnemonic.endswith("cs") else mnemonic
    a = ZERO if name == "ngc" else _register(operands[1]).number
    second = _Second(draft, operands[1 if name == "ngc" else 2 :])
    draft.read(a, FLAGS)
    result = draft.temporary()
    op, flags = (Op.ADC, Op.FLAGS_ADC) if name == "adc" else (Op.SBC, Op.FLAGS_SBC)
    draft.emit(op, size=target.size, dst=result, a=a, **second.fields)
    if name != mnemonic:
        draft.emit(flags, size=target.size, a=a, **second.fields)
        draft.write(FLAGS)
    to = integer_write(draft, target)
    draft.emit(Op.MOV, size=target.size, dst=to, b=result)
    return draft.finish()


def _only_flags(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    a = _register(operands[0])
    draft.read(a.number)
    second = _Second(draft, operands[1:])
    draft.write(FLAGS)
    draft.emit(_ONLY_FLAGS[mnemonic], size=a.size, a=a.number, **second.fields)
    return draft.finish()


def _from_zero(mnemonic: str, operands: Operands) -> Instruction:
    """neg, mvn."""
    draft = Draft(Class.INT)
    target = _register(operands[0])
    second = _Second(draft, operands[1:])
    if mnemonic == "negs":
        draft.write(FLAGS)
        draft.emit(Op.FLAGS_SUB, size=target.size, **second.fields)
    to = integer_write(draft, target)
    draft.emit(_FROM_ZERO[mnemonic], size=target.size, dst=to, **second.fields)
    return draft.finish()


def _move(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target = _register(operands[0])
    second = _Second(draft, operands[1:])
    if mnemonic == "movk":
        draft.read(target.number)
        value, shift = operands[1], operands[2] if len(operands) > 2 else Modifier(Modify.LSL, 0)
        assert isinstance(value, Number)
        assert isinstance(shift, Modifier)
        draft.emit(Op.BIC, dst=target.number, a=target.number, imm=0xFFFF << shift.amount)
        imm = _signed64(value.value << shift.amount)
        to = integer_write(draft, target)
        draft.emit(Op.OR, size=target.size, dst=to, a=target.number, imm=imm)
        return draft.finish()
    draft.emit(Op.MOV, size=target.size, dst=integer_write(draft, target), **second.fields)
    return draft.finish()


def _signed64(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, a, by = _register(operands[0]), _register(operands[1]), operands[2]
    draft.read(a.number)
    fields = {"imm": by.value} if isinstance(by, Number) else {"b": _register(by).number}
    draft.read(*([] if isinstance(by, Number) else [_register(by).number]))
    to = integer_write(draft, target)
    draft.emit(_SHIFT[mnemonic], size=target.size, dst=to, a=a.number, **fields)
    return draft.finish()


def _multiply(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.MUL)
    target, a, b = (_register(one) for one in operands[:3])
    added = _register(operands[3]).number if len(operands) > 3 else ZERO
    draft.read(a.number, b.number, added)
    op = _MULTIPLY[mnemonic][0]
    to = integer_write(draft, target)
    draft.emit(op, size=target.size, dst=to, a=a.number, b=b.number, c=added)
    return draft.finish()


def _divide(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.DIV)
    target, a, b = (_register(one) for one in operands[:3])
    draft.read(a.number, b.number)
    to = integer_write(draft, target)
    draft.emit(_DIVIDE[mnemonic], size=target.size, dst=to, a=a.number, b=b.number)
    return draft.finish()


def _one(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, a = _register(operands[0]), _register(operands[1])
    draft.read(a.number)
    draft.emit(_ONE[mnemonic], size=target.size, dst=integer_write(draft, target), a=a.number)
    return draft.finish()


def _extend(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, a = _register(operands[0]), _register(operands[1])
    op, bits = _EXTEND[mnemonic]
    draft.read(a.number)
    to = integer_write(draft, target)
    draft.emit(op, size=target.size, dst=to, a=a.number, c=bits)
    return draft.finish()


def _field(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, a = _register(operands[0]), _register(operands[1])
    low, width = operands[2], operands[3]
    assert isinstance(low, Number)
    assert isinstance(width, Number)
    draft.read(a.number)
    if mnemonic in ("bfi", "bfxil"):
        draft.read(target.number)
        draft.cls = Class.SHIFT
    to, op = integer_write(draft, target), _FIELD[mnemonic]
    draft.emit(op, size=target.size, dst=to, a=a.number, shift=low.value, c=width.value)
    return draft.finish()


def _extract(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.SHIFT)
    target, a, b = (_register(one) for one in operands[:3])
    low = operands[3]
    assert isinstance(low, Number)
    draft.read(a.number, b.number)
    to = integer_write(draft, target)
    draft.emit(Op.EXTRACT, size=target.size, dst=to, a=a.number, b=b.number, shift=low.value)
    return draft.finish()


def _condition(operand: Operand, *, inverted: bool = False) -> int:
    assert isinstance(operand, Word)
    found = CONDITIONS[operand.text]
    return Condition(found ^ 1) if inverted else found


def _select(mnemonic: str, operands: Operands) -> Instruction:
    """csel and its kin; cinc, cset, ... are the same with the condition inverted."""
    draft = Draft(Class.INT)
    target, inverted = _register(operands[0]), mnemonic not in _SELECT
    named = [_register(one).number for one in operands[1:-1]]
    a, b = named if len(named) == 2 else named * 2 if named else [ZERO, ZERO]
    draft.read(a, b, FLAGS)
    op = (_SELECT | _SELECT_ONE | _SELECT_NONE)[mnemonic]
    condition, to = _condition(operands[-1], inverted=inverted), integer_write(draft, target)
    draft.emit(op, size=target.size, dst=to, a=a, b=b, c=condition)
    return draft.finish()


def _compare_if(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    a, b, otherwise = _register(operands[0]), operands[1], operands[2]
    assert isinstance(otherwise, Number)
    draft.read(a.number, FLAGS)
    second = _Second(draft, (b,))
    draft.write(FLAGS)
    op = Op.FLAGS_SUB_IF if mnemonic == "ccmp" else Op.FLAGS_ADD_IF
    condition = _condition(operands[3])
    draft.emit(op, size=a.size, dst=otherwise.value, a=a.number, c=condition, **second.fields)
    return draft.finish()


_Handler = Callable[[str, Operands], Instruction]
_TABLES: tuple[tuple[frozenset[str], _Handler], ...] = (
    (frozenset(_THREE) | frozenset(_SETTING), _three),
    (frozenset(("mov", "movk")), _move),
    (frozenset(_ONLY_FLAGS), _only_flags),
    (frozenset(_SHIFT), _shift),
    (frozenset(_SELECT) | frozenset(_SELECT_ONE) | frozenset(_SELECT_NONE), _select),
    (frozenset(_MULTIPLY), _multiply),
    (frozenset(_FROM_ZERO), _from_zero),
    (frozenset("adc adcs sbc sbcs ngc ngcs".split()), _with_carry),
    (frozenset(_EXTEND), _extend),
    (frozenset(_FIELD), _field),
    (frozenset(("ccmp", "ccmn")), _compare_if),
    (frozenset(_DIVIDE), _divide),
    (frozenset(_ONE), _one),
    (frozenset(("extr",)), _extract),
)


# What depends on where the instruction is: branches, and addresses beside the code.
_PLACED = frozenset("b bl blr br ret cbz cbnz tbz tbnz adr adrp".split())


def _placed(line: Line) -> Instruction:
    name, operands = line.mnemonic, parse(line.operands)
    if name in ("adr", "adrp"):
        return _address(line, operands)
    draft = Draft(Class.CALL if name in ("bl", "blr") else Class.BRANCH)
    draft.flags |= Flag.ENDS_BLOCK
    if name in ("blr", "br", "ret"):
        target = _register(operands[0]).number if operands else LINK
        draft.read(target)
        held = target
        if name == "blr" and target == LINK:  # the link is written first
            held = draft.temporary()
            draft.emit(Op.MOV, dst=held, b=target)
        _link(draft, line, name)
        draft.emit(Op.JUMP, a=held)
        return draft.finish()
    _link(draft, line, name)
    _direct(draft, name, operands)
    return draft.finish()


def _direct(draft: Draft, name: str, operands: Operands) -> None:
    target = operands[-1]
    assert isinstance(target, Number)
    if name in ("b", "bl"):
        draft.emit(Op.BRANCH, imm=target.value)
        return
    if name.startswith("b."):
        draft.read(FLAGS)
        draft.emit(Op.BRANCH_IF, c=CONDITIONS[name[2:]], imm=target.value)
        return
    tested = _register(operands[0])
    draft.read(tested.number)
    if name in ("cbz", "cbnz"):
        op = Op.BRANCH_ZERO if name == "cbz" else Op.BRANCH_NONZERO
        draft.emit(op, size=tested.size, a=tested.number, imm=target.value)
        return
    bit = operands[1]
    assert isinstance(bit, Number)
    draft.emit(
        Op.BRANCH_BIT, a=tested.number, shift=bit.value, c=int(name == "tbnz"), imm=target.value
    )


def _link(draft: Draft, line: Line, name: str) -> None:
    if name in ("bl", "blr"):
        draft.write(LINK)
        draft.emit(Op.MOV, dst=LINK, imm=line.address + line.size)


def _address(line: Line, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, offset = _register(operands[0]), operands[1]
    assert isinstance(offset, Number)
    start = line.address & ~0xFFF if line.mnemonic == "adrp" else line.address
    draft.emit(Op.MOV, dst=integer_write(draft, target), imm=start + offset.value)
    return draft.finish()
