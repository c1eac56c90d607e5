# SPDX-License-Identifier: Apache-2.0
"""What AArch64 instructions read and write: integer registers, the flexible second operand.

Takes operands; gives fields of micro-ops, and notes what timing must know.
"""

from collections.abc import Callable

from mnc.compile.simulator.decoders.aarch64.operands import Integer, Modifier, Number, Operand
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import Class, Instruction
from mnc.compile.simulator.isa.micro_ops import SINK, ZERO, Modify

Operands = tuple[Operand, ...]


Handler = Callable[[str, Operands], Instruction]


def register(operand: Operand) -> Integer:
    """An operand that has to be an integer register."""
    return expect(Integer, operand)


def second_operand(draft: Draft, operands: Operands) -> dict[str, int]:
    """Fields of a micro-op for the flexible second operand: a constant or a register, shifted or extended."""
    modifier = modifier_of(operands[1:])
    if isinstance(operands[0], Number):
        return {"imm": operands[0].value << modifier.amount}
    first = register(operands[0])
    draft.read(first.number)
    if modifier.amount or modifier.modify != Modify.LSL:
        draft.cls = Class.SHIFT
    return {"b": first.number, "modify": modifier.modify, "shift": modifier.amount}


def modifier_of(operands: Operands) -> Modifier:
    """The first, if there is one."""
    return expect(Modifier, operands[0]) if operands else Modifier(Modify.LSL, 0)


def integer_write(draft: Draft, register: Integer) -> int:
    """Note that it is written; its number in micro-ops."""
    if register.number == ZERO:
        return SINK
    draft.write(register.number)
    return register.number


def signed64(value: int) -> int:
    """A constant of 64 bits, as micro-ops have it."""
    return value - (1 << 64) if value >= 1 << 63 else value
