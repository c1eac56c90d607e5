# SPDX-License-Identifier: Apache-2.0
"""AArch64 multiplications and divisions, in `HANDLERS`.

Takes a mnemonic and its operands; gives the instruction.
"""

from mnc.compile.simulator.decoders.aarch64.values import Handler, Operands, integer_write, register
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.isa.instructions import Class, Instruction
from mnc.compile.simulator.isa.micro_ops import ZERO, Op

_MULTIPLY = {
    "mul": Op.MADD,
    "mneg": Op.MSUB,
    "madd": Op.MADD,
    "msub": Op.MSUB,
    "smull": Op.MADD_WIDE_S,
    "umull": Op.MADD_WIDE_U,
    "smnegl": Op.MSUB_WIDE_S,
    "umnegl": Op.MSUB_WIDE_U,
    "smaddl": Op.MADD_WIDE_S,
    "umaddl": Op.MADD_WIDE_U,
    "smsubl": Op.MSUB_WIDE_S,
    "umsubl": Op.MSUB_WIDE_U,
    "smulh": Op.MULH_S,
    "umulh": Op.MULH_U,
}
_DIVIDE = {"sdiv": Op.DIV_S, "udiv": Op.DIV_U}


def _multiply(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.MUL)
    target, a, b = (register(one) for one in operands[:3])
    added = register(operands[3]).number if len(operands) > 3 else ZERO
    draft.read(a.number, b.number, added)
    to, op = integer_write(draft, target), _MULTIPLY[mnemonic]
    draft.emit(op, size=target.size, dst=to, a=a.number, b=b.number, c=added)
    return draft.finish()


def _divide(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.DIV)
    target, a, b = (register(one) for one in operands[:3])
    draft.read(a.number, b.number)
    to = integer_write(draft, target)
    draft.emit(_DIVIDE[mnemonic], size=target.size, dst=to, a=a.number, b=b.number)
    return draft.finish()


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_MULTIPLY, _multiply),
    **dict.fromkeys(_DIVIDE, _divide),
}
