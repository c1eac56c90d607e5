# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM instructions that calculate with integer registers, but for products.

Takes a `Line` and its `Name`; gives the instruction.
"""

import dataclasses

from mnc.compile.simulator.decoders.arm.operands import (
    PC,
    Constant,
    Integer,
    Name,
    Shifted,
    parse,
)
from mnc.compile.simulator.decoders.arm.values import (
    Handler,
    integer_draft,
    integers,
    set_flags,
    shifted,
    value,
)
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Modify, Op

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


def _arithmetic(line: Line, name: Name) -> Instruction:
    first, *rest = parse(line.operands)
    first = expect(Integer, first)
    left, right = rest if len(rest) == 2 else (first, rest[0])
    left = expect(Integer, left)
    draft = integer_draft(line, name)
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
        set_flags(draft, _FLAGS[name.stem], a=a, **operand)
    elif name.sets_flags:
        set_flags(draft, Op.FLAGS_LOGIC, a=result, imm=-1)
    if result != goal:
        draft.emit(Op.MOV, size=4, dst=goal, b=result)
    draft.settle(first.number, goal)
    if first.number == PC:
        draft.cls = Class.BRANCH
    return draft.finish()


def _compare(line: Line, name: Name) -> Instruction:
    left, right = parse(line.operands)
    left = expect(Integer, left)
    draft = integer_draft(line, name)
    a, operand = draft.source(left.number), value(draft, right)
    if name.stem == "teq":
        different = draft.temporary()
        draft.emit(Op.XOR, size=4, dst=different, a=a, **operand)
        set_flags(draft, Op.FLAGS_LOGIC, a=different, imm=-1)
    else:
        set_flags(draft, _COMPARE[name.stem], a=a, **operand)
    return draft.finish()


def _move(line: Line, name: Name) -> Instruction:
    """mov, mvn, movw, movt."""
    target, source = parse(line.operands)
    target = expect(Integer, target)
    draft = integer_draft(line, name)
    if name.stem == "movt":
        source = expect(Constant, source)
        kept, goal = draft.temporary(), draft.goal(target.number)
        draft.emit(Op.BITS_U, size=4, dst=kept, a=draft.source(target.number), c=16)
        draft.emit(Op.OR, size=4, dst=goal, a=kept, imm=source.value << 16)
        draft.settle(target.number, goal)
        return draft.finish()
    operand = value(draft, source)
    goal = draft.goal(target.number)
    draft.emit(Op.ORN if name.stem == "mvn" else Op.MOV, size=4, dst=goal, **operand)
    if name.sets_flags:
        set_flags(draft, Op.FLAGS_LOGIC, a=goal, imm=-1)
    draft.settle(target.number, goal)
    if target.number == PC:
        draft.cls = Class.BRANCH
    return draft.finish()


def _shift(line: Line, name: Name) -> Instruction:
    target, source, by = (
        parse(line.operands) if name.stem != "rrx" else (*parse(line.operands), None)
    )
    target, source = expect(Integer, target), expect(Integer, source)
    draft = integer_draft(line, name, Class.SHIFT)
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
        set_flags(draft, Op.FLAGS_LOGIC, a=goal, imm=-1)
    if out is not None:
        draft.emit(Op.ORN, dst=out, a=ZERO, b=out)
        draft.emit(Op.FLAGS_BORROW, a=out)
    draft.settle(target.number, goal)
    return draft.finish()


def _extend(line: Line, name: Name) -> Instruction:
    """uxtb and the like; uxtab adds to a register. A rotation by bytes may come first."""
    numbers, rest = integers(line)
    operands = parse(line.operands)
    rotation = next((one.by for one in operands if isinstance(one, Shifted)), 0)
    numbers += [one.number for one in rest if isinstance(one, Shifted)]
    stem = name.stem.replace("xta", "xt") if "xta" in name.stem else name.stem
    draft = integer_draft(line, name, Class.SHIFT)
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
    numbers, constants = integers(line)
    low, width = (one.value for one in constants if isinstance(one, Constant))
    draft = integer_draft(line, name, Class.SHIFT)
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
    (target, source), _ = integers(line)
    ops = {"clz": Op.CLZ, "rbit": Op.REVERSE_BITS, "rev": Op.REVERSE_BYTES}
    draft = integer_draft(line, name)
    a, goal = draft.source(source), draft.goal(target)
    if name.stem == "rev16":
        draft.emit(Op.REVERSE_BYTES, size=4, dst=goal, a=a)
        draft.emit(Op.ROR, size=4, dst=goal, a=goal, imm=16)
    else:
        draft.emit(ops[name.stem], size=4, dst=goal, a=a)
    draft.settle(target, goal)
    return draft.finish()


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys([*_PLAIN, *_REVERSED], _arithmetic),
    **dict.fromkeys(("cmp", "cmn", "tst", "teq"), _compare),
    **dict.fromkeys(("mov", "mvn", "movw", "movt"), _move),
    **dict.fromkeys(("lsl", "lsr", "asr", "ror", "rrx"), _shift),
    **dict.fromkeys([*_EXTENDS, "uxtab", "uxtah", "sxtab", "sxtah"], _extend),
    **dict.fromkeys(("ubfx", "sbfx", "bfi", "bfc"), _bit_field),
    **dict.fromkeys(("clz", "rbit", "rev", "rev16"), _one_operand),
}
