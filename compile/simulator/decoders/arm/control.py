# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM branches and calls.

Takes a `Line` and its `Name`; gives the instruction.
"""

from mnc.compile.simulator.decoders.arm.operands import LR, Constant, Integer, Name, parse
from mnc.compile.simulator.decoders.arm.values import Handler, integer_draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, MicroOp, Op


def _branch(line: Line, name: Name) -> Instruction:
    (operand,) = parse(line.operands)
    draft = integer_draft(line, name, Class.BRANCH)
    draft.flags = Flag.ENDS_BLOCK
    target = expect(Constant, operand)
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
    draft = integer_draft(line, name, Class.CALL if links else Class.BRANCH)
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


HANDLERS: dict[str, Handler] = {
    "b": _branch,
    **dict.fromkeys(("bl", "blx", "bx"), _call),
    **dict.fromkeys("nop dmb dsb isb hint yield".split(), _nothing),
    **dict.fromkeys(("udf", "trap", "bkpt"), _trap),
}
