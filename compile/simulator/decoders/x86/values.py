# SPDX-License-Identifier: Apache-2.0
"""Values of x86-64 instructions: operands read, results written, flags set, as micro-ops of a `Draft`.

Takes operands of `x86_operands`; gives numbers of registers that hold their values. The carry is kept
inverted, as ARM has it after a subtraction: set when there was no borrow.
"""

from collections.abc import Callable

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.x86.operands import RSP, Constant, Memory, Operand, Register
from mnc.compile.simulator.isa.instructions import FLAGS, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Op

Handler = Callable[[Line], Instruction]

STORES = (Op.STORE, Op.TOUCH_STORE, Op.V_STORE, Op.V_STORE_LANE)


def load(
    draft: Draft, memory: Memory, size: int, *, into: int | None = None, signed_to: int = 0
) -> int:
    """Load `size` bytes to a register, zero-extended, or sign-extended to `signed_to` bytes."""
    result = draft.temporary() if into is None else into
    op = Op.LOAD_S if signed_to else Op.LOAD
    access(draft, op, memory, size, dst=result, c=signed_to or ZERO)
    return result


def store(draft: Draft, memory: Memory, source: int, size: int) -> None:
    """Store the low `size` bytes of a register."""
    access(draft, Op.STORE, memory, size, dst=source)


def access(draft: Draft, op: Op, memory: Memory, size: int, **fields: int) -> None:
    """A micro-op that accesses `size` bytes of memory."""
    note_address(draft, memory)
    fields |= {"a": memory.base, "b": memory.index, "shift": memory.scale}
    draft.emit(op, size=size, imm=memory.displacement, **fields)
    if op in STORES:
        draft.stores += 1
    else:
        draft.loads += 1


def note_address(draft: Draft, memory: Memory) -> None:
    """Timing waits for the registers of the address."""
    draft.address(*memory.registers, stack_pointer=RSP)


def value(draft: Draft, operand: Operand, size: int) -> tuple[int, int]:
    """(register, constant) whose sum has the operand in its low `size` bytes."""
    if isinstance(operand, Constant):
        return ZERO, operand.value
    if isinstance(operand, Memory):
        return load(draft, operand, size), 0
    draft.read(operand.number)
    if not operand.shift:
        return operand.number, 0
    high = draft.temporary()
    draft.emit(Op.SHR, dst=high, a=operand.number, imm=operand.shift)
    return high, 0


def register(draft: Draft, operand: Operand, size: int) -> int:
    """As `value`, but always a register."""
    number, constant = value(draft, operand, size)
    if number == ZERO and constant:
        number = draft.temporary()
        draft.emit(Op.MOV, dst=number, imm=constant)
    return number


def target_of(draft: Draft, operand: Operand) -> int:
    """Where to compute a result that `finish` then brings to the operand."""
    if isinstance(operand, Register) and operand.size >= 4:
        return operand.number
    return draft.temporary()


def finish(draft: Draft, operand: Operand, result: int) -> Instruction:
    if isinstance(operand, Memory):
        store(draft, operand, result, operand.size)
    elif isinstance(operand, Register):
        draft.write(operand.number)
        if operand.size < 4:  # the rest of the register stays
            draft.read(operand.number)
            bits = 8 * operand.size
            shift = operand.shift
            draft.emit(Op.BITS_INSERT, dst=operand.number, a=result, c=bits, shift=shift)
    return draft.finish()


def size_of(*operands: Operand) -> int:
    """The first size that an operand says."""
    return next(one.size for one in operands if not isinstance(one, Constant) and one.size)


def flags(draft: Draft, op: Op, a: int, other: tuple[int, int], size: int) -> None:
    """N Z C V of an operation on the low `size` bytes of R[a] and R[other[0]] + other[1]."""
    b, constant = other
    draft.write(FLAGS)
    draft.emit(op, size=size, a=a, b=b, imm=constant)


def flags_of_result(draft: Draft, result: int, size: int) -> None:
    """As logic sets them: no carry, no overflow. A difference from 0 does just that."""
    flags(draft, Op.FLAGS_SUB, result, (ZERO, 0), size)


def flags_unknown(draft: Draft) -> None:
    draft.write(FLAGS)
    draft.emit(Op.FLAGS_UNKNOWN)
