# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM multiplications and divisions.

Takes a `Line` and its `Name`; gives the instruction.
"""

from mnc.compile.simulator.decoders.arm.operands import Name
from mnc.compile.simulator.decoders.arm.values import (
    ArmDraft,
    Handler,
    integer_draft,
    integers,
    set_flags,
)
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Op


def _multiply(line: Line, name: Name) -> Instruction:
    (target, *sources), _ = integers(line)
    draft = integer_draft(line, name, Class.MUL)
    numbers = [draft.source(one) for one in (sources if len(sources) > 1 else [target, *sources])]
    goal, fields = draft.goal(target), {"a": numbers[0], "b": numbers[1]}
    if name.stem == "mul":
        draft.emit(Op.MUL, size=4, dst=goal, **fields)
    else:
        op = Op.MSUB if name.stem == "mls" else Op.MADD
        draft.emit(op, size=4, dst=goal, c=numbers[2], **fields)
    if name.sets_flags:
        set_flags(draft, Op.FLAGS_LOGIC, a=goal, imm=-1)
    draft.settle(target, goal)
    return draft.finish()


def _multiply_long(line: Line, name: Name) -> Instruction:
    """umull, smull, umlal, smlal: 64 bits in two registers."""
    (low, high, left, right), _ = integers(line)
    draft = integer_draft(line, name, Class.MUL)
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
    (target, left, right, *rest), _ = integers(line)
    draft = integer_draft(line, name, Class.MUL)
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
    (target, left, right, *rest), _ = integers(line)
    draft = integer_draft(line, name, Class.MUL)
    halves = []
    for number, letter in ((left, name.stem[-2]), (right, name.stem[-1])):
        half = draft.temporary()
        shift = 16 if letter == "t" else 0
        draft.emit(Op.BITS_S, size=4, dst=half, a=draft.source(number), c=16, shift=shift)
        halves.append(half)
    if name.stem[-2] == "w":
        raise SimulationError("multiplication of 32 by 16 bits")
    goal, before = draft.goal(target), draft.source(rest[0]) if rest else ZERO
    draft.emit(Op.MADD, size=4, dst=goal, a=halves[0], b=halves[1], c=before)
    draft.settle(target, goal)
    return draft.finish()


def _divide(line: Line, name: Name) -> Instruction:
    (target, *sources), _ = integers(line)
    left, right = sources if len(sources) == 2 else (target, sources[0])
    draft = integer_draft(line, name, Class.DIV)
    goal, a, b = draft.goal(target), draft.source(left), draft.source(right)
    draft.emit(Op.DIV_U if name.stem == "udiv" else Op.DIV_S, size=4, dst=goal, a=a, b=b)
    draft.settle(target, goal)
    return draft.finish()


_HALVES = [f"sm{what}{a}{b}" for what in ("ul", "la") for a in "bt" for b in "bt"]
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("mul", "mla", "mls"), _multiply),
    **dict.fromkeys(("umull", "smull", "umlal", "smlal"), _multiply_long),
    **dict.fromkeys(("smmul", "smmla", "smmls"), _multiply_high),
    **dict.fromkeys(_HALVES, _multiply_halves),
    **dict.fromkeys(("udiv", "sdiv"), _divide),
}
