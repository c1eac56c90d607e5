# SPDX-License-Identifier: Apache-2.0
"""AArch64 instructions under a condition that are no branches, in `HANDLERS`.

Takes a mnemonic and its operands; gives the instruction.
"""

from mnc.compile.simulator.decoders.aarch64.operands import CONDITIONS, Number, Operand, Word
from mnc.compile.simulator.decoders.aarch64.values import (
    Handler,
    Operands,
    integer_write,
    register,
    second_operand,
)
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, Op

_SELECT = {
    "csel": Op.SELECT,
    "csinc": Op.SELECT_INC,
    "csinv": Op.SELECT_INV,
    "csneg": Op.SELECT_NEG,
}
_SELECT_ONE = {"cinc": Op.SELECT_INC, "cinv": Op.SELECT_INV, "cneg": Op.SELECT_NEG}
_SELECT_NONE = {"cset": Op.SELECT_INC, "csetm": Op.SELECT_INV}


def _condition(operand: Operand, *, inverted: bool = False) -> int:
    found = CONDITIONS[expect(Word, operand).text]
    return Condition(found ^ 1) if inverted else found


def _select(mnemonic: str, operands: Operands) -> Instruction:
    """csel and its kin; cinc, cset, ... are the same with the condition inverted."""
    draft = Draft(Class.INT)
    target, inverted = register(operands[0]), mnemonic not in _SELECT
    named = [register(one).number for one in operands[1:-1]]
    a, b = named if len(named) == 2 else named * 2 if named else [ZERO, ZERO]
    draft.read(a, b, FLAGS)
    op = (_SELECT | _SELECT_ONE | _SELECT_NONE)[mnemonic]
    condition, to = _condition(operands[-1], inverted=inverted), integer_write(draft, target)
    draft.emit(op, size=target.size, dst=to, a=a, b=b, c=condition)
    return draft.finish()


def _compare_if(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    a, otherwise = register(operands[0]), expect(Number, operands[2])
    draft.read(a.number, FLAGS)
    second = second_operand(draft, operands[1:2])
    draft.write(FLAGS)
    op = Op.FLAGS_SUB_IF if mnemonic == "ccmp" else Op.FLAGS_ADD_IF
    condition = _condition(operands[3])
    draft.emit(op, size=a.size, dst=otherwise.value, a=a.number, c=condition, **second)
    return draft.finish()


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_SELECT | _SELECT_ONE | _SELECT_NONE, _select),
    **dict.fromkeys(("ccmp", "ccmn"), _compare_if),
}
