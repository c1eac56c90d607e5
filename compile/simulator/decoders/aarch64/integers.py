# SPDX-License-Identifier: Apache-2.0
"""AArch64 arithmetic, logic, moves and shifts of integer registers, in `HANDLERS`.

Takes a mnemonic and its operands; gives the instruction.
"""

from mnc.compile.simulator.decoders.aarch64.operands import Number
from mnc.compile.simulator.decoders.aarch64.values import (
    Handler,
    Operands,
    integer_write,
    modifier_of,
    register,
    second_operand,
    signed64,
)
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction
from mnc.compile.simulator.isa.micro_ops import ZERO, Op

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


def _three(mnemonic: str, operands: Operands) -> Instruction:
    """dst = a op second, with flags for adds, subs, ands, bics."""
    draft = Draft(Class.INT)
    target, a = register(operands[0]), register(operands[1])
    draft.read(a.number)
    second = second_operand(draft, operands[2:])
    op = _THREE.get(mnemonic) or _SETTING[mnemonic]
    size = target.size
    to = integer_write(draft, target)
    if mnemonic in _SETTING:
        draft.write(FLAGS)
        if op in _FLAGS_OF:
            draft.emit(_FLAGS_OF[op], size=size, a=a.number, **second)
    draft.emit(op, size=size, dst=to, a=a.number, **second)
    if mnemonic == "bics":
        draft.emit(Op.FLAGS_LOGIC, size=size, a=to, imm=-1)
    return draft.finish()


def _with_carry(mnemonic: str, operands: Operands) -> Instruction:
    """adc, sbc and what sets flags too; ngc is sbc from zero."""
    draft = Draft(Class.INT)
    target = register(operands[0])
    name = mnemonic.rstrip("s") if mnemonic.endswith("cs") else mnemonic
    a = ZERO if name == "ngc" else register(operands[1]).number
    second = second_operand(draft, operands[1 if name == "ngc" else 2 :])
    draft.read(a, FLAGS)
    result = draft.temporary()
    op, flags = (Op.ADC, Op.FLAGS_ADC) if name == "adc" else (Op.SBC, Op.FLAGS_SBC)
    draft.emit(op, size=target.size, dst=result, a=a, **second)
    if name != mnemonic:
        draft.emit(flags, size=target.size, a=a, **second)
        draft.write(FLAGS)
    to = integer_write(draft, target)
    draft.emit(Op.MOV, size=target.size, dst=to, b=result)
    return draft.finish()


def _only_flags(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    a = register(operands[0])
    draft.read(a.number)
    second = second_operand(draft, operands[1:])
    draft.write(FLAGS)
    draft.emit(_ONLY_FLAGS[mnemonic], size=a.size, a=a.number, **second)
    return draft.finish()


def _from_zero(mnemonic: str, operands: Operands) -> Instruction:
    """neg, mvn."""
    draft = Draft(Class.INT)
    target = register(operands[0])
    second = second_operand(draft, operands[1:])
    if mnemonic == "negs":
        draft.write(FLAGS)
        draft.emit(Op.FLAGS_SUB, size=target.size, **second)
    to = integer_write(draft, target)
    draft.emit(_FROM_ZERO[mnemonic], size=target.size, dst=to, **second)
    return draft.finish()


def _move(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target = register(operands[0])
    second = second_operand(draft, operands[1:])
    if mnemonic == "movk":
        draft.read(target.number)
        value, shift = expect(Number, operands[1]), modifier_of(operands[2:])
        draft.emit(Op.BIC, dst=target.number, a=target.number, imm=0xFFFF << shift.amount)
        imm = signed64(value.value << shift.amount)
        to = integer_write(draft, target)
        draft.emit(Op.OR, size=target.size, dst=to, a=target.number, imm=imm)
        return draft.finish()
    draft.emit(Op.MOV, size=target.size, dst=integer_write(draft, target), **second)
    return draft.finish()


def _shift(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, a, by = register(operands[0]), register(operands[1]), operands[2]
    draft.read(a.number)
    if isinstance(by, Number):
        fields = {"imm": by.value}
    else:
        fields = {"b": register(by).number}
        draft.read(register(by).number)
    to = integer_write(draft, target)
    draft.emit(_SHIFT[mnemonic], size=target.size, dst=to, a=a.number, **fields)
    return draft.finish()


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_THREE | _SETTING, _three),
    **dict.fromkeys(("mov", "movk"), _move),
    **dict.fromkeys(_ONLY_FLAGS, _only_flags),
    **dict.fromkeys(_SHIFT, _shift),
    **dict.fromkeys(_FROM_ZERO, _from_zero),
    **dict.fromkeys("adc adcs sbc sbcs ngc ngcs".split(), _with_carry),
}
