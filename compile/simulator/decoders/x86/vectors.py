# SPDX-License-Identifier: Apache-2.0
"""x86-64 vector instructions, SSE to AVX-512: priced by class; integer arithmetic is executed too.

Takes a `Line`; gives an `Instruction`. What comes out of floating point is marked unknown, so that
nothing can depend on it unnoticed. SimulationError for a mnemonic that no table has.
"""

import re

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.decoders.x86 import vector_moves
from mnc.compile.simulator.decoders.x86.operands import (
    SCRATCH,
    Constant,
    Memory,
    Operand,
    Operands,
    Register,
    parse,
)
from mnc.compile.simulator.decoders.x86.tables import (
    EXACT,
    MOVES,
    SUMS,
    TO_FLAGS,
    UNMERGED,
    classify,
    element_bytes,
    is_scalar,
    operations,
)
from mnc.compile.simulator.decoders.x86.values import access
from mnc.compile.simulator.decoders.x86.vector_moves import note_mask
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import Op


def decode(line: Line) -> Instruction:
    """One vector instruction."""
    operands = parse(line)
    name = line.mnemonic
    if name.startswith("prefetch"):
        return _prefetch(operands)
    for pattern, handler in _SPECIAL:
        if pattern.match(name):
            return handler(name, operands)
    if name in MOVES:
        return vector_moves.move(name, operands)
    return _operation(name, operands)


def _prefetch(operands: Operands) -> Instruction:
    (operand,) = operands.all
    draft = Draft(Class.PREFETCH)
    memory = expect(Memory, operand)
    access(draft, Op.PREFETCH, memory, 1)
    return draft.finish()


def _operation(name: str, operands: Operands) -> Instruction:
    """Anything that computes a vector, a mask, flags or an integer from vectors."""
    cls = classify(name)
    target, *sources = operands.all
    draft = Draft(cls)
    draft.width = _width(name, operands)
    draft.flops = operations(name, cls, draft.width)
    if _is_zero(name, operands):
        sources = []
        draft.cls = Class.NOP  # renaming does it
    elif name in TO_FLAGS:
        sources = list(operands.all)
    elif isinstance(target, Register) and target.vector and _reads_target(name, cls, operands):
        draft.read_vector(target.number)
        if cls in SUMS:
            draft.accumulator = target.timed
    note_mask(draft, operands)
    numbers = [_source(draft, one, name) for one in sources]
    _result(draft, name, operands, [number for number in numbers if number is not None])
    return draft.finish()


def _width(name: str, operands: Operands) -> int:
    if is_scalar(name):
        return element_bytes(name)
    sizes = [one.size for one in operands.all if isinstance(one, Register) and one.vector]
    return max(sizes, default=16)


def _reads_target(name: str, cls: Class, operands: Operands) -> bool:
    """Two-operand SSE forms, multiply-adds, and lanes that a mask keeps."""
    if operands.mask is not None and not operands.zeroing:
        return True
    return cls in SUMS or not (name.startswith(("v", "k")) or name in UNMERGED)


def _is_zero(name: str, operands: Operands) -> bool:
    """x ^ x and x - x, of integers or by xorps: no dependence on x."""
    *_, left, right = operands.all if len(operands.all) > 1 else (None, *operands.all)
    return left == right and bool(re.match(r"v?(p?xor|psub)", name))


def _source(draft: Draft, operand: Operand, name: str) -> int | None:
    """The vector register with the operand's value; None for a constant or an integer register."""
    if isinstance(operand, Register) and operand.vector:
        draft.read_vector(operand.number)
        return operand.number
    if isinstance(operand, Register):
        draft.read(operand.number)
    elif isinstance(operand, Memory):
        if name in EXACT and operand.copies == 1:
            access(draft, Op.V_LOAD, operand, operand.size, dst=SCRATCH)
        elif name in EXACT and operand.size in (4, 8):
            copies = operand.copies * operand.size
            access(draft, Op.V_LOAD_DUP, operand, operand.size, dst=SCRATCH, c=copies)
        else:
            access(draft, Op.TOUCH_LOAD, operand, operand.size)
        return SCRATCH
    return None


def _result(draft: Draft, name: str, operands: Operands, sources: list[int]) -> None:
    target = operands.all[0]
    if name in TO_FLAGS:
        draft.write(FLAGS)
        draft.emit(Op.FLAGS_UNKNOWN)
    elif isinstance(target, Memory):
        draft.cls = Class.STORE_VEC
        access(draft, Op.TOUCH_STORE, target, target.size)
    elif isinstance(target, Register) and target.vector:
        draft.write_vector(target.number)
        if name in EXACT and operands.mask is None:
            _exact(draft, name, operands, target, sources)
        else:
            draft.emit(Op.V_UNKNOWN, dst=target.number)
    else:
        raise SimulationError("an integer from vector arithmetic")


def _exact(
    draft: Draft, name: str, operands: Operands, target: Register, sources: list[int]
) -> None:
    op, lane, swapped = EXACT[name]
    fields = {"dst": target.number, "size": lane, "c": target.size}
    last = operands.all[-1]
    two = [target.number, *sources] if not name.startswith("v") else sources
    if draft.cls == Class.NOP:
        draft.emit(Op.V_FILL, imm=0, **fields)
    elif op in (Op.V_SHL, Op.V_SHR, Op.V_SAR):
        if not isinstance(last, Constant):
            draft.emit(Op.V_UNKNOWN, dst=target.number)
        else:
            draft.emit(op, a=two[0], imm=last.value, **fields)
    elif op in (Op.V_WIDEN_S, Op.V_WIDEN_U):
        draft.emit(op, a=sources[0], **fields)
    else:
        a, b = two[-2:] if not swapped else two[-2:][::-1]
        draft.emit(op, a=a, b=b, **fields)


def _to_integer(name: str, operands: Operands) -> Instruction:
    """movmsk, conversions to integer registers: of values that are not known."""
    target, source = operands.all
    target = expect(Register, target)
    draft = Draft(Class.VEC_TO_INT)
    draft.write(target.number)
    number = _source(draft, source, name)
    # Only when executed does it matter that the value is not known.
    draft.emit(Op.V_UNKNOWN, dst=SCRATCH)
    draft.emit(Op.V_GET, dst=target.number, a=SCRATCH, size=4)
    draft.width = 16 if number is not None else 4
    return draft.finish()


_SPECIAL = (
    *vector_moves.HANDLERS,
    (re.compile(r"v?p?movmsk|v?cvtt?[sp][sd]2u?si"), _to_integer),
)
