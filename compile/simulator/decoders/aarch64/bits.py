# SPDX-License-Identifier: Apache-2.0
"""AArch64 instructions on fields of bits, in `HANDLERS`: extensions, insertions, counts.

Takes a mnemonic and its operands; gives the instruction.
"""

from mnc.compile.simulator.decoders.aarch64.operands import Number
from mnc.compile.simulator.decoders.aarch64.values import Handler, Operands, integer_write, register
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import Class, Instruction
from mnc.compile.simulator.isa.micro_ops import Op

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


def _one(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, a = register(operands[0]), register(operands[1])
    draft.read(a.number)
    draft.emit(_ONE[mnemonic], size=target.size, dst=integer_write(draft, target), a=a.number)
    return draft.finish()


def _extend(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, a = register(operands[0]), register(operands[1])
    op, bits = _EXTEND[mnemonic]
    draft.read(a.number)
    to = integer_write(draft, target)
    draft.emit(op, size=target.size, dst=to, a=a.number, c=bits)
    return draft.finish()


def _field(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, a = register(operands[0]), register(operands[1])
    low, width = expect(Number, operands[2]), expect(Number, operands[3])
    draft.read(a.number)
    if mnemonic in ("bfi", "bfxil"):
        draft.read(target.number)
        draft.cls = Class.SHIFT
    to, op = integer_write(draft, target), _FIELD[mnemonic]
    draft.emit(op, size=target.size, dst=to, a=a.number, shift=low.value, c=width.value)
    return draft.finish()


def _extract(mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(Class.SHIFT)
    target, a, b = (register(one) for one in operands[:3])
    low = expect(Number, operands[3])
    draft.read(a.number, b.number)
    to = integer_write(draft, target)
    draft.emit(Op.EXTRACT, size=target.size, dst=to, a=a.number, b=b.number, shift=low.value)
    return draft.finish()


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_ONE, _one),
    **dict.fromkeys(_EXTEND, _extend),
    **dict.fromkeys(_FIELD, _field),
    "extr": _extract,
}
