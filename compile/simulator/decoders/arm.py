# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM: a disassembled instruction to `Instruction`s; here what works on integer registers.

Takes a `Line` as LLVM prints it (unified syntax, no Thumb); gives what the interpreter does and what timing
must know. Memory is arm_memory's, vectors are arm_vector's.
"""

import dataclasses
from collections.abc import Callable

from mnc.compile.simulator.decoders import arm_memory, arm_vector
from mnc.compile.simulator.decoders.arm_memory import draft_at
from mnc.compile.simulator.decoders.arm_operands import (
    LR,
    PC,
    SP,
    Constant,
    Integer,
    Name,
    Operand,
    Shifted,
    name_of,
    parse,
)
from mnc.compile.simulator.decoders.arm_values import ArmDraft, shifted, value
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Abi, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, MicroOp, Modify, Op

# The packed function's last two arguments are on the stack; no kernel reads them.
ABI = Abi(arguments=(0, 1, 2, 3), result=0, stack_pointer=SP, link=LR, pointer_bytes=4)

_PLAIN = {
    "add": Op.ADD,
    "sub": Op.SUB,
    "adc": Op.ADC,
    "sbc": Op.SBC,
    "and": Op.AND,
    "orr": Op.OR,
    "eor": Op.XOR,
    "bic": Op.BIC,
}
_REVERSED = {"rsb": "sub", "rsc": "sbc"}
_FLAGS = {"add": Op.FLAGS_ADD, "sub": Op.FLAGS_SUB, "adc": Op.FLAGS_ADC, "sbc": Op.FLAGS_SBC}
_COMPARE = {"cmp": Op.FLAGS_SUB, "cmn": Op.FLAGS_ADD, "tst": Op.FLAGS_LOGIC}
_EXTENDS = {"uxtb": Modify.UXTB, "uxth": Modify.UXTH, "sxtb": Modify.SXTB, "sxth": Modify.SXTH}
_NOTHING = frozenset("nop dmb dsb isb hint yield".split())


def decode(line: Line) -> tuple[Instruction, ...]:
    """The parts of one instruction. SimulationError names one that is not known."""
    try:
        name = name_of(line.mnemonic)
        if name.stem.startswith("v"):
            return arm_vector.decode(line, name)
        if name.stem in arm_memory.HANDLERS:
            return arm_memory.HANDLERS[name.stem](line, name)
        return (_HANDLERS[name.stem](line, name),)
    except (KeyError, ValueError, IndexError, StopIteration) as error:
        raise SimulationError(
            f"no model of the ARM instruction {line.text!r} at {line.address:#x} ({error})"
        ) from error


def _draft(line: Line, name: Name, cls: Class = Class.INT) -> ArmDraft:
    if name.sets_flags and name.condition != Condition.AL:
        raise ValueError("conditional and sets flags")
    return draft_at(line, name, cls)


def _integers(line: Line) -> tuple[list[int], list[Operand]]:
    """Leading registers' numbers, and the other operands."""
    operands = list(parse(line.operands))
    registers = []
    for one in operands:
        if not isinstance(one, Integer):
            break
        registers.append(one.number)
    return registers, operands[len(registers) :]


# ---- Data processing ----


def _arithmetic(line: Line, name: Name) -> Instruction:
    first, *rest = parse(line.operands)
    if not isinstance(first, Integer):
        raise ValueError("target")
    left, right = rest if len(rest) == 2 else (first, rest[0])
    if not isinstance(left, Integer):
        raise ValueError("first source")
    draft = _draft(line, name)
    a, operand = draft.source(left.number), value(draft, right)
    if name.stem in ("rsb", "rsc"):  # the other way round
        b, a = a, draft.temporary()
        draft.emit(Op.MOV, size=4, dst=a, **operand)
        operand, name = {"b": b}, dataclasses.replace(name, stem=_REVERSED[name.stem])
    if name.stem in ("adc", "sbc"):
        draft.read(FLAGS)
    goal = draft.goal(first.number)
    # Before the flags change, which it may read; beside its target, which may be a source.
    result = draft.temporary() if name.sets_flags else goal
    draft.emit(_PLAIN[name.stem], size=4, dst=result, a=a, **operand)
    if name.sets_flags and name.stem in _FLAGS:
        _set_flags(draft, _FLAGS[name.stem], a=a, **operand)
    elif name.sets_flags:
        _set_flags(draft, Op.FLAGS_LOGIC, a=result, imm=-1)
    if result != goal:
        draft.emit(Op.MOV, size=4, dst=goal, b=result)
    draft.settle(first.number, goal)
    if first.number == PC:
        draft.cls = Class.BRANCH
    return draft.finish()


def _set_flags(draft: ArmDraft, op: Op, **fields: int) -> None:
    if draft.conditional:
        draft.read(FLAGS)
        draft.emit(Op.SKIP_UNLESS, c=draft.condition, imm=1)
    draft.emit(op, size=4, **fields)
    draft.write(FLAGS)


def _compare(line: Line, name: Name) -> Instruction:
    left, right = parse(line.operands)
    if not isinstance(left, Integer):
        raise ValueError("first source")
    draft = _draft(line, name)
    a, operand = draft.source(left.number), value(draft, right)
    if name.stem == "teq":
        different = draft.temporary()
        draft.emit(Op.XOR, size=4, dst=different, a=a, **operand)
        _set_flags(draft, Op.FLAGS_LOGIC, a=different, imm=-1)
    else:
        _set_flags(draft, _COMPARE[name.stem], a=a, **operand)
    return draft.finish()


def _move(line: Line, name: Name) -> Instruction:
    """mov, mvn, movw, movt."""
    target, source = parse(line.operands)
    if not isinstance(target, Integer):
        raise ValueError("target")
    draft = _draft(line, name)
    if name.stem == "movt":
        if not isinstance(source, Constant):
            raise ValueError("constant")
        kept, goal = draft.temporary(), draft.goal(target.number)
        draft.emit(Op.BITS_U, size=4, dst=kept, a=draft.source(target.number), c=16)
        draft.emit(Op.OR, size=4, dst=goal, a=kept, imm=source.value << 16)
        draft.settle(target.number, goal)
        return draft.finish()
    operand = value(draft, source)
    goal = draft.goal(target.number)
    draft.emit(Op.ORN if name.stem == "mvn" else Op.MOV, size=4, dst=goal, **operand)
    if name.sets_flags:
        _set_flags(draft, Op.FLAGS_LOGIC, a=goal, imm=-1)
    draft.settle(target.number, goal)
    if target.number == PC:
        draft.cls = Class.BRANCH
    return draft.finish()


def _shift(line: Line, name: Name) -> Instruction:
    target, source, by = (
        parse(line.operands) if name.stem != "rrx" else (*parse(line.operands), None)
    )
    if not isinstance(target, Integer) or not isinstance(source, Integer):
        raise ValueError("registers")
    draft = _draft(line, name, Class.SHIFT)
    a, goal = draft.source(source.number), draft.goal(target.number)
    out: int | None = None  # the bit that goes out last
    if name.stem == "rrx":
        carry = draft.temporary()
        draft.read(FLAGS)
        draft.emit(Op.ADC, size=4, dst=carry)
        draft.emit(Op.EXTRACT, size=4, dst=goal, a=carry, b=a, shift=1)
    elif isinstance(by, Constant):
        if name.sets_flags and name.stem in ("lsr", "asr"):
            out = draft.temporary()
            draft.emit(Op.SHR, dst=out, a=a, imm=by.value - 1)
        modify = {"lsl": Modify.LSL, "lsr": Modify.LSR, "asr": Modify.ASR, "ror": Modify.ROR}
        draft.emit(Op.MOV, size=4, dst=goal, b=a, modify=modify[name.stem], shift=by.value)
    elif isinstance(by, Integer):
        result = shifted(draft, name.stem, a, draft.source(by.number))
        draft.emit(Op.MOV, size=4, dst=goal, b=result)
    if name.sets_flags:
        _set_flags(draft, Op.FLAGS_LOGIC, a=goal, imm=-1)
    if out is not None:
        draft.emit(Op.ORN, dst=out, a=ZERO, b=out)
        draft.emit(Op.FLAGS_BORROW, a=out)
    draft.settle(target.number, goal)
    return draft.finish()


def _multiply(line: Line, name: Name) -> Instruction:
    (target, *sources), _ = _integers(line)
    draft = _draft(line, name, Class.MUL)
    numbers = [draft.source(one) for one in (sources if len(sources) > 1 else [target, *sources])]
    goal, fields = draft.goal(target), {"a": numbers[0], "b": numbers[1]}
    if name.stem == "mul":
        draft.emit(Op.MUL, size=4, dst=goal, **fields)
    else:
        op = Op.MSUB if name.stem == "mls" else Op.MADD
        draft.emit(op, size=4, dst=goal, c=numbers[2], **fields)
    if name.sets_flags:
        _set_flags(draft, Op.FLAGS_LOGIC, a=goal, imm=-1)
    draft.settle(target, goal)
    return draft.finish()


def _multiply_long(line: Line, name: Name) -> Instruction:
    """umull, smull, umlal, smlal: 64 bits in two registers."""
    (low, high, left, right), _ = _integers(line)
    draft = _draft(line, name, Class.MUL)
    a, b, total = draft.source(left), draft.source(right), draft.temporary()
    if name.stem.endswith("lal"):
        draft.read(low, high)
        draft.emit(Op.MOV, size=4, dst=total, b=low)
        draft.emit(Op.OR, dst=total, a=total, b=high, shift=32)
        before = total
    else:
        before = ZERO
    op = Op.MADD_WIDE_U if name.stem.startswith("u") else Op.MADD_WIDE_S
    draft.emit(op, dst=total, a=a, b=b, c=before)
    _settle_pair(draft, low, high, total)
    return draft.finish()


def _settle_pair(draft: ArmDraft, low: int, high: int, total: int) -> None:
    goal = draft.goal(low)
    draft.emit(Op.MOV, size=4, dst=goal, b=total)
    draft.settle(low, goal)
    goal = draft.goal(high)
    draft.emit(Op.SHR, dst=goal, a=total, imm=32)
    draft.settle(high, goal)


def _multiply_high(line: Line, name: Name) -> Instruction:
    """smmul, smmla, smmls: the upper half of (accumulator in the upper half) +- the product."""
    (target, left, right, *rest), _ = _integers(line)
    draft = _draft(line, name, Class.MUL)
    a, b, total = draft.source(left), draft.source(right), draft.temporary()
    before = ZERO
    if rest:
        draft.emit(Op.SHL, dst=total, a=draft.source(rest[0]), imm=32)
        before = total
    op = Op.MSUB_WIDE_S if name.stem == "smmls" else Op.MADD_WIDE_S
    draft.emit(op, dst=total, a=a, b=b, c=before)
    goal = draft.goal(target)
    draft.emit(Op.SHR, dst=goal, a=total, imm=32)
    draft.settle(target, goal)
    return draft.finish()


def _multiply_halves(line: Line, name: Name) -> Instruction:
    """smulbb, smlabt and the like: signed halves of two registers."""
    (target, left, right, *rest), _ = _integers(line)
    draft = _draft(line, name, Class.MUL)
    halves = []
    for number, letter in ((left, name.stem[-2]), (right, name.stem[-1])):
        half = draft.temporary()
        shift = 16 if letter == "t" else 0
        draft.emit(Op.BITS_S, size=4, dst=half, a=draft.source(number), c=16, shift=shift)
        halves.append(half)
    if name.stem[-2] == "w":
        raise ValueError("multiplication of 32 by 16 bits")
    goal, before = draft.goal(target), draft.source(rest[0]) if rest else ZERO
    draft.emit(Op.MADD, size=4, dst=goal, a=halves[0], b=halves[1], c=before)
    draft.settle(target, goal)
    return draft.finish()


def _divide(line: Line, name: Name) -> Instruction:
    (target, *sources), _ = _integers(line)
    left, right = sources if len(sources) == 2 else (target, sources[0])
    draft = _draft(line, name, Class.DIV)
    goal, a, b = draft.goal(target), draft.source(left), draft.source(right)
    draft.emit(Op.DIV_U if name.stem == "udiv" else Op.DIV_S, size=4, dst=goal, a=a, b=b)
    draft.settle(target, goal)
    return draft.finish()


def _extend(line: Line, name: Name) -> Instruction:
    """uxtb and the like; uxtab adds to a register. A rotation by bytes may come first."""
    numbers, rest = _integers(line)
    operands = parse(line.operands)
    rotation = next((one.by for one in operands if isinstance(one, Shifted)), 0)
    numbers += [one.number for one in rest if isinstance(one, Shifted)]
    stem = name.stem.replace("xta", "xt") if "xta" in name.stem else name.stem
    draft = _draft(line, name, Class.SHIFT)
    source, goal = draft.source(numbers[-1]), draft.goal(numbers[0])
    if rotation:
        turned = draft.temporary()
        draft.emit(Op.ROR, size=4, dst=turned, a=source, imm=rotation)
        source = turned
    a = draft.source(numbers[1]) if stem != name.stem else ZERO
    draft.emit(Op.ADD, size=4, dst=goal, a=a, b=source, modify=_EXTENDS[stem])
    draft.settle(numbers[0], goal)
    return draft.finish()


def _bit_field(line: Line, name: Name) -> Instruction:
    """ubfx, sbfx, bfi, bfc."""
    numbers, constants = _integers(line)
    low, width = (one.value for one in constants if isinstance(one, Constant))
    draft = _draft(line, name, Class.SHIFT)
    target = numbers[0]
    goal = draft.goal(target)
    if name.stem in ("ubfx", "sbfx"):
        op = Op.BITS_U if name.stem == "ubfx" else Op.BITS_S
        draft.emit(op, size=4, dst=goal, a=draft.source(numbers[1]), c=width, shift=low)
    else:
        source = draft.source(numbers[1]) if name.stem == "bfi" else ZERO
        before = draft.source(target)
        if goal != target:
            draft.emit(Op.MOV, size=4, dst=goal, b=before)
        draft.emit(Op.BITS_INSERT, size=4, dst=goal, a=source, c=width, shift=low)
    draft.settle(target, goal)
    return draft.finish()


def _one_operand(line: Line, name: Name) -> Instruction:
    (target, source), _ = _integers(line)
    ops = {"clz": Op.CLZ, "rbit": Op.REVERSE_BITS, "rev": Op.REVERSE_BYTES}
    draft = _draft(line, name)
    a, goal = draft.source(source), draft.goal(target)
    if name.stem == "rev16":
        draft.emit(Op.REVERSE_BYTES, size=4, dst=goal, a=a)
        draft.emit(Op.ROR, size=4, dst=goal, a=goal, imm=16)
    else:
        draft.emit(ops[name.stem], size=4, dst=goal, a=a)
    draft.settle(target, goal)
    return draft.finish()


# ---- Control ----


def _branch(line: Line, name: Name) -> Instruction:
    (target,) = parse(line.operands)
    draft = _draft(line, name, Class.BRANCH)
    draft.flags = Flag.ENDS_BLOCK
    if not isinstance(target, Constant):
        raise ValueError("target")
    if name.condition == Condition.AL:
        draft.emit(Op.BRANCH, imm=target.value)
    else:
        draft.read(FLAGS)
        draft.emit(Op.BRANCH_IF, c=name.condition, imm=target.value)
    return draft.finish()


def _call(line: Line, name: Name) -> Instruction:
    """bl, blx, bx."""
    (target,) = parse(line.operands)
    links = name.stem != "bx"
    draft = _draft(line, name, Class.CALL if links else Class.BRANCH)
    goal: int | None = None
    if isinstance(target, Integer):
        goal = draft.temporary()
        draft.emit(Op.MOV, size=4, dst=goal, b=draft.source(target.number))
    draft.leave()
    if links:
        draft.emit(Op.MOV, size=4, dst=LR, imm=line.address + 4)
        draft.write(LR)
    if isinstance(target, Constant):
        draft.emit(Op.BRANCH, imm=target.value)
    elif goal is not None:
        draft.emit(Op.JUMP, a=goal)
    return draft.finish()


def _nothing(_line: Line, _name: Name) -> Instruction:
    return Instruction(Class.NOP)


def _trap(_line: Line, _name: Name) -> Instruction:
    return Instruction(Class.NOP, (MicroOp(Op.JUMP, a=ZERO),))  # the interpreter reports it


_HALVES = [f"sm{what}{a}{b}" for what in ("ul", "la") for a in "bt" for b in "bt"]
_HANDLERS: dict[str, Callable[[Line, Name], Instruction]] = {
    **dict.fromkeys([*_PLAIN, *_REVERSED], _arithmetic),
    **dict.fromkeys(("cmp", "cmn", "tst", "teq"), _compare),
    **dict.fromkeys(("mov", "mvn", "movw", "movt"), _move),
    **dict.fromkeys(("lsl", "lsr", "asr", "ror", "rrx"), _shift),
    **dict.fromkeys(("mul", "mla", "mls"), _multiply),
    **dict.fromkeys(("umull", "smull", "umlal", "smlal"), _multiply_long),
    **dict.fromkeys(("smmul", "smmla", "smmls"), _multiply_high),
    **dict.fromkeys(_HALVES, _multiply_halves),
    **dict.fromkeys(("udiv", "sdiv"), _divide),
    **dict.fromkeys([*_EXTENDS, "uxtab", "uxtah", "sxtab", "sxtah"], _extend),
    **dict.fromkeys(("ubfx", "sbfx", "bfi", "bfc"), _bit_field),
    **dict.fromkeys(("clz", "rbit", "rev", "rev16"), _one_operand),
    "b": _branch,
    **dict.fromkeys(("bl", "blx", "bx"), _call),
    **dict.fromkeys(_NOTHING, _nothing),
    **dict.fromkeys(("udf", "trap", "bkpt"), _trap),
}
