# SPDX-License-Identifier: Apache-2.0
"""x86-64 branches, calls and the stack.

Takes a `Line`; gives an `Instruction`.
"""

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.decoders.x86.operands import (
    RSP,
    Constant,
    Memory,
    Operand,
    Register,
    parse,
)
from mnc.compile.simulator.decoders.x86.values import Handler, load, note_address, register
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, MicroOp, Op

RAX, RBP = 0, 5


def branch_if(line: Line, condition: Condition) -> Instruction:
    """j and a condition."""
    draft = Draft(Class.BRANCH)
    draft.read(FLAGS)
    draft.emit(Op.BRANCH_IF, c=condition, imm=_branch_target(line))
    draft.flags = Flag.ENDS_BLOCK
    return draft.finish()


def _branch_target(line: Line) -> int:
    (operand,) = parse(line).all
    return expect(Constant, operand).value


def _jump(line: Line) -> Instruction:
    draft = Draft(Class.BRANCH)
    draft.flags = Flag.ENDS_BLOCK
    _go(draft, parse(line).all[0])
    return draft.finish()


def _go(draft: Draft, target: Operand) -> None:
    if isinstance(target, Constant):
        draft.emit(Op.BRANCH, imm=target.value)
    else:
        draft.emit(Op.JUMP, a=register(draft, target, 8))


def _call(line: Line) -> Instruction:
    (target,) = parse(line).all
    draft = Draft(Class.CALL)
    draft.flags = Flag.ENDS_BLOCK
    goal = target if isinstance(target, Constant) else register(draft, target, 8)
    back = draft.temporary()
    draft.emit(Op.MOV, dst=back, imm=line.address + line.size)
    _push(draft, back)
    if isinstance(goal, Constant):
        draft.emit(Op.BRANCH, imm=goal.value)
    else:
        draft.emit(Op.JUMP, a=goal)
    return draft.finish()


def _push(draft: Draft, value: int) -> None:
    note_address(draft, Memory(RSP, ZERO, 0, 0, 8))
    draft.emit(Op.STORE, dst=value, a=RSP, imm=-8)
    draft.emit(Op.SUB, dst=RSP, a=RSP, imm=8)
    draft.stores += 1
    draft.write(RSP)
    draft.base_update = RSP


def _pop(draft: Draft, into: int) -> None:
    load(draft, Memory(RSP, ZERO, 0, 0, 8), 8, into=into)
    if into != RSP:
        draft.emit(Op.ADD, dst=RSP, a=RSP, imm=8)
    draft.write(RSP)
    draft.base_update = RSP


def _push_operand(line: Line) -> Instruction:
    (source,) = parse(line).all
    draft = Draft(Class.STORE_INT)
    _push(draft, register(draft, source, 8))
    return draft.finish()


def _pop_operand(line: Line) -> Instruction:
    (target,) = parse(line).all
    if not isinstance(target, Register) or target.size != 8:
        raise SimulationError("pop to memory")
    draft = Draft(Class.LOAD_INT)
    _pop(draft, target.number)
    draft.write(target.number)
    return draft.finish()


def _return(_line: Line) -> Instruction:
    draft = Draft(Class.BRANCH)
    draft.flags = Flag.ENDS_BLOCK
    back = draft.temporary()
    _pop(draft, back)
    draft.emit(Op.JUMP, a=back)
    return draft.finish()


def _leave(_line: Line) -> Instruction:
    draft = Draft(Class.LOAD_INT)
    draft.emit(Op.MOV, dst=RSP, b=RBP)
    draft.read(RBP)
    _pop(draft, RBP)
    draft.write(RBP)
    return draft.finish()


def _nothing(_line: Line) -> Instruction:
    return Instruction(Class.NOP)


def _trap(_line: Line) -> Instruction:
    return Instruction(Class.NOP, (MicroOp(Op.JUMP, a=ZERO),))  # the interpreter reports it


HANDLERS: dict[str, Handler] = {
    "jmp": _jump,
    "call": _call,
    "push": _push_operand,
    "pop": _pop_operand,
    "ret": _return,
    "leave": _leave,
    **dict.fromkeys(
        "nop endbr64 vzeroupper vzeroall data16 lfence mfence sfence".split(), _nothing
    ),
    **dict.fromkeys(("ud2", "int3"), _trap),
}
