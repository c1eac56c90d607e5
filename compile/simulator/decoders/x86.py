# SPDX-License-Identifier: Apache-2.0
"""x86-64: a disassembled instruction to an `Instruction`; here what works on integer registers.

Takes a `Line` in Intel syntax; gives what the interpreter does and what timing must know. The carry is kept
inverted, as ARM has it after a subtraction: "below" is CC. Vector instructions are x86_vector's.
"""

import functools
import re
from collections.abc import Callable

from mnc.compile.simulator.decoders import x86_arithmetic, x86_vector
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.x86_operands import (
    RSP,
    Constant,
    Memory,
    Operand,
    Register,
    parse,
)
from mnc.compile.simulator.decoders.x86_values import (
    finish,
    load,
    note_address,
    register,
    size_of,
    target_of,
    value,
)
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Abi, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, MicroOp, Op

RAX, RBP = 0, 5
ABI = Abi(arguments=(7, 6, 2, 1, 8, 9), result=RAX, stack_pointer=RSP, link=None, pointer_bytes=8)

_CONDITIONS = {
    **dict.fromkeys(("e", "z"), Condition.EQ),
    **dict.fromkeys(("ne", "nz"), Condition.NE),
    **dict.fromkeys(("b", "c", "nae"), Condition.CC),
    **dict.fromkeys(("ae", "nc", "nb"), Condition.CS),
    **dict.fromkeys(("a", "nbe"), Condition.HI),
    **dict.fromkeys(("be", "na"), Condition.LS),
    **dict.fromkeys(("l", "nge"), Condition.LT),
    **dict.fromkeys(("ge", "nl"), Condition.GE),
    **dict.fromkeys(("g", "nle"), Condition.GT),
    **dict.fromkeys(("le", "ng"), Condition.LE),
    "s": Condition.MI,
    "ns": Condition.PL,
    "o": Condition.VS,
    "no": Condition.VC,
}
_ON_CONDITION = re.compile(rf"(j|cmov|set)({'|'.join(_CONDITIONS)})$")
_NOTHING = frozenset("nop endbr64 vzeroupper vzeroall data16 lfence mfence sfence ud2 int3".split())


def decode(line: Line) -> tuple[Instruction, ...]:
    """The parts of one instruction. SimulationError names one that is not known."""
    try:
        if line.mnemonic == "call" or "rip" in line.operands:  # where it stands matters
            return (_decode(line),)
        return (_decoded_anywhere(line.mnemonic, line.operands),)
    except (KeyError, ValueError, IndexError, StopIteration) as error:
        raise SimulationError(
            f"no model of the x86-64 instruction {line.text!r} at {line.address:#x} ({error})"
        ) from error


@functools.lru_cache(maxsize=1 << 16)
def _decoded_anywhere(mnemonic: str, operands: str) -> Instruction:
    # Kernels of one search have most of their instructions in common.
    return _decode(Line(0, 0, mnemonic, operands))


def _decode(line: Line) -> Instruction:
    name = line.mnemonic
    if name in _NOTHING:
        return _nothing(name)
    if name in _HANDLERS:
        return _HANDLERS[name](line)
    if match := _ON_CONDITION.match(name):
        handler = {"j": _branch_if, "cmov": _select, "set": _set}[match[1]]
        return handler(line, _CONDITIONS[match[2]])
    return x86_vector.decode(line)


def _nothing(name: str) -> Instruction:
    # A trap is a jump to nowhere, which the interpreter reports.
    ops = (MicroOp(Op.JUMP, a=ZERO),) if name in ("ud2", "int3") else ()
    return Instruction(Class.NOP, ops)


def _move(line: Line) -> Instruction:
    target, source = parse(line).all
    size = size_of(target, source)
    draft = Draft(Class.INT)
    if isinstance(source, Memory) and isinstance(target, Register) and size >= 4:
        draft.cls = Class.LOAD_INT
        load(draft, source, size, into=target.number)
        draft.write(target.number)
        return draft.finish()
    if isinstance(source, Memory):
        draft.cls = Class.LOAD_INT
    if isinstance(target, Memory):
        draft.cls = Class.STORE_INT
        return finish(draft, target, register(draft, source, size))
    b, constant = value(draft, source, size)
    result = target_of(draft, target)
    draft.emit(Op.MOV, size=max(size, 4), dst=result, b=b, imm=constant)
    return finish(draft, target, result)


def _move_extended(line: Line) -> Instruction:
    target, source = parse(line).all
    size, signed = size_of(source), line.mnemonic.startswith("movs")
    if not isinstance(target, Register) or target.size < 4:
        raise ValueError("extension to a small register")
    draft = Draft(Class.INT)
    draft.write(target.number)
    if isinstance(source, Memory):
        draft.cls = Class.LOAD_INT
        load(draft, source, size, into=target.number, signed_to=target.size if signed else 0)
        return draft.finish()
    a = register(draft, source, size)
    op = Op.BITS_S if signed else Op.BITS_U
    draft.emit(op, size=target.size, dst=target.number, a=a, c=8 * size)
    return draft.finish()


def _lea(line: Line) -> Instruction:
    target, source = parse(line).all
    if not isinstance(target, Register) or not isinstance(source, Memory) or target.size < 4:
        raise ValueError("lea to a small register")
    draft = Draft(Class.INT)
    fields = {"a": source.base, "b": source.index, "shift": source.scale}
    draft.emit(Op.ADD, size=target.size, dst=target.number, imm=source.displacement, **fields)
    draft.read(*source.registers)
    draft.write(target.number)
    return draft.finish()


def _exchange(line: Line) -> Instruction:
    left, right = parse(line).all
    if not isinstance(left, Register) or not isinstance(right, Register) or left.size < 4:
        if left == right:  # xchg ax, ax is a nop
            return Instruction(Class.NOP)
        raise ValueError("exchange with memory")
    draft = Draft(Class.INT)
    kept = draft.temporary()
    draft.emit(Op.MOV, dst=kept, b=left.number)
    draft.emit(Op.MOV, size=left.size, dst=left.number, b=right.number)
    draft.emit(Op.MOV, size=left.size, dst=right.number, b=kept)
    draft.read(left.number, right.number)
    draft.write(left.number, right.number)
    return draft.finish()


def _swap_bytes(line: Line) -> Instruction:
    (target,) = parse(line).all
    draft = Draft(Class.INT)
    a = register(draft, target, size_of(target))
    draft.emit(Op.REVERSE_BYTES, size=size_of(target), dst=a, a=a)
    return finish(draft, target, a)


def _select(line: Line, condition: Condition) -> Instruction:
    target, source = parse(line).all
    size = size_of(target)
    draft = Draft(Class.INT)
    draft.read(FLAGS)
    old, new = register(draft, target, size), register(draft, source, size)
    result = target_of(draft, target)
    draft.emit(Op.SELECT, size=max(size, 4), dst=result, a=new, b=old, c=condition)
    return finish(draft, target, result)


def _set(line: Line, condition: Condition) -> Instruction:
    (target,) = parse(line).all
    draft = Draft(Class.INT)
    draft.read(FLAGS)
    one = draft.temporary()
    opposite = condition ^ 1  # conditions come in pairs
    draft.emit(Op.SELECT_INC, dst=one, a=ZERO, b=ZERO, c=opposite)
    return finish(draft, target, one)


def _branch_if(line: Line, condition: Condition) -> Instruction:
    draft = Draft(Class.BRANCH)
    draft.read(FLAGS)
    draft.emit(Op.BRANCH_IF, c=condition, imm=_branch_target(line))
    draft.flags = Flag.ENDS_BLOCK
    return draft.finish()


def _branch_target(line: Line) -> int:
    (operand,) = parse(line).all
    if not isinstance(operand, Constant):
        raise ValueError("branch target")
    return operand.value


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
        raise ValueError("pop to memory")
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


_HANDLERS: dict[str, Callable[[Line], Instruction]] = {
    **x86_arithmetic.HANDLERS,
    **dict.fromkeys(("mov", "movabs"), _move),
    **dict.fromkeys(("movzx", "movsx", "movsxd"), _move_extended),
    "lea": _lea,
    "xchg": _exchange,
    "bswap": _swap_bytes,
    "jmp": _jump,
    "call": _call,
    "push": _push_operand,
    "pop": _pop_operand,
    "ret": _return,
    "leave": _leave,
}
