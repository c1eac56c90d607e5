# SPDX-License-Identifier: Apache-2.0
"""x86-64 vector instructions, SSE to AVX-512: priced by class; moves and integer arithmetic are executed too.

Takes a `Line`; gives an `Instruction`. What comes out of floating point is marked unknown, so that
nothing can depend on it unnoticed. KeyError for a mnemonic that no table has.
"""

import re
from collections.abc import Callable

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.x86_operands import (
    SCRATCH,
    Constant,
    Memory,
    Operand,
    Operands,
    Register,
    parse,
)
from mnc.compile.simulator.decoders.x86_tables import (
    EXACT,
    LANES,
    MOVES,
    TO_FLAGS,
    UNMERGED,
    classify,
    element_bytes,
    is_scalar,
)
from mnc.compile.simulator.decoders.x86_values import access, register
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import Op

_MOVE_OF_INTEGER = re.compile(r"v?mov([dqw])$")
_EXTRACT = re.compile(r"v?(?:pextr([bwdq])|extractps)$")
_INSERT = re.compile(r"v?pinsr([bwdq])$")
_BROADCAST = re.compile(r"v?p?broadcast")
_MASK_MOVE = re.compile(r"kmov[bwdq]$")
_BYTES = {"b": 1, "w": 2, "d": 4, "q": 8}


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
        return _move(name, operands)
    return _operation(name, operands)


def _prefetch(operands: Operands) -> Instruction:
    (memory,) = operands.all
    draft = Draft(Class.PREFETCH)
    if not isinstance(memory, Memory):
        raise ValueError("prefetch of a register")
    access(draft, Op.PREFETCH, memory, 1)
    return draft.finish()


# ---- Moves ----


def _move(name: str, operands: Operands) -> Instruction:
    """A whole vector, or the low lane of one (movss), between registers and memory."""
    target, source = operands.all[0], operands.all[-1]
    draft = Draft(Class.VEC_MOVE)
    _note_mask(draft, operands)
    if isinstance(target, Memory) and isinstance(source, Register):
        draft.cls, draft.width = Class.STORE_VEC, target.size
        draft.read_vector(source.number)
        op = Op.V_STORE if operands.mask is None else Op.TOUCH_STORE
        access(draft, op, target, target.size, dst=source.number)
    elif isinstance(source, Memory) and isinstance(target, Register):
        draft.cls, draft.width = Class.LOAD_VEC, source.size
        draft.write_vector(target.number)
        if operands.mask is None:
            access(draft, Op.V_LOAD, source, source.size, dst=target.number)
        else:
            access(draft, Op.TOUCH_LOAD, source, source.size)
            draft.emit(Op.V_UNKNOWN, dst=target.number)
    elif isinstance(source, Register) and isinstance(target, Register):
        _copy(draft, name, operands)
    else:
        raise ValueError("operands of a move")
    return draft.finish()


def _copy(draft: Draft, name: str, operands: Operands) -> None:
    target, *sources = (one for one in operands.all if isinstance(one, Register))
    draft.width = target.size
    draft.read_vector(*(one.number for one in sources))
    draft.write_vector(target.number)
    if is_scalar(name) or len(sources) > 1:  # the other lanes come from elsewhere
        draft.cls = Class.VEC_PERMUTE
        draft.read_vector(target.number)
    if draft.cls == Class.VEC_MOVE and operands.mask is None:
        draft.emit(Op.V_MOVE, dst=target.number, a=sources[0].number, c=target.size)
    else:
        draft.emit(Op.V_UNKNOWN, dst=target.number)


def _move_of_integer(name: str, operands: Operands) -> Instruction:
    """movd and movq, between a vector's low lane and an integer register, memory or another vector."""
    size = _BYTES[name[-1]]
    target, source = operands.all
    draft = Draft(Class.VEC_MOVE)
    draft.width = size
    if isinstance(target, Register) and target.vector:
        draft.write_vector(target.number)
        if isinstance(source, Memory):
            draft.cls = Class.LOAD_VEC
            access(draft, Op.V_LOAD, source, size, dst=target.number)
        elif isinstance(source, Register) and source.vector:
            draft.read_vector(source.number)
            draft.emit(Op.V_MOVE, dst=target.number, a=source.number, c=size)
        elif isinstance(source, Register):
            draft.cls = Class.INT_TO_VEC
            draft.read(source.number)
            draft.emit(Op.V_DUP, dst=target.number, a=source.number, size=size, c=size)
        return draft.finish()
    return _get_lane(draft, target, source, size, 0)


def _get_lane(draft: Draft, target: Operand, source: Operand, size: int, lane: int) -> Instruction:
    if not isinstance(source, Register):
        raise ValueError("lane of memory")
    draft.read_vector(source.number)
    if isinstance(target, Memory):
        draft.cls = Class.STORE_VEC
        access(draft, Op.V_STORE_LANE, target, size, dst=source.number, c=lane)
    elif isinstance(target, Register):
        draft.cls = Class.VEC_TO_INT
        draft.emit(Op.V_GET, dst=target.number, a=source.number, size=size, shift=lane)
        draft.write(target.number)
    return draft.finish()


def _extract(name: str, operands: Operands) -> Instruction:
    target, source, lane = operands.all
    match = _EXTRACT.match(name)
    size = _BYTES[(match and match[1]) or "d"]
    if not isinstance(lane, Constant):
        raise ValueError("lane")
    draft = Draft(Class.VEC_TO_INT)
    draft.width = size
    return _get_lane(draft, target, source, size, lane.value % (16 // size))


def _insert(name: str, operands: Operands) -> Instruction:
    target, *middle, source, lane = operands.all
    size = _BYTES[name[-1]]
    if not isinstance(target, Register) or not isinstance(lane, Constant):
        raise ValueError("lane")
    draft = Draft(Class.INT_TO_VEC)
    draft.width = 16
    before = middle[0] if middle else target
    if isinstance(before, Register):
        draft.read_vector(before.number)
        draft.emit(Op.V_MOVE, dst=target.number, a=before.number, c=16)
    draft.write_vector(target.number)
    position = lane.value % (16 // size)
    if isinstance(source, Memory):
        draft.cls = Class.LOAD_LANE
        access(draft, Op.V_LOAD_LANE, source, size, dst=target.number, c=position)
    else:
        a = register(draft, source, size)
        draft.emit(Op.V_SET, dst=target.number, a=a, size=size, shift=position)
    return draft.finish()


def _broadcast(name: str, operands: Operands) -> Instruction:
    target, source = operands.all
    if not isinstance(target, Register):
        raise ValueError("broadcast to memory")
    draft = Draft(Class.VEC_PERMUTE)
    draft.width = target.size
    _note_mask(draft, operands, target)
    draft.write_vector(target.number)
    lane = _BYTES.get(name[-1], 0) if "pbroadcast" in name else 0
    exact = lane and operands.mask is None
    if isinstance(source, Memory):
        draft.cls = Class.LOAD_BROADCAST
        if exact:
            access(draft, Op.V_LOAD_DUP, source, lane, dst=target.number, c=target.size)
        else:
            access(draft, Op.TOUCH_LOAD, source, source.size)
    elif isinstance(source, Register) and source.vector:
        draft.read_vector(source.number)
        if exact:
            fields = {"dst": target.number, "a": source.number, "size": lane, "c": target.size}
            draft.emit(Op.V_DUP_LANE, **fields)
    elif isinstance(source, Register):
        draft.cls = Class.INT_TO_VEC
        draft.read(source.number)
        if exact:
            fields = {"dst": target.number, "a": source.number, "size": lane, "c": target.size}
            draft.emit(Op.V_DUP, **fields)
    if not exact:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()


def _mask_move(name: str, operands: Operands) -> Instruction:
    """kmov: a mask, an integer register or memory."""
    target, source = operands.all
    size = _BYTES[name[-1]]
    draft = Draft(Class.VEC_MOVE)
    draft.width = 8
    if isinstance(target, Register) and target.is_mask and isinstance(source, Register):
        draft.write_vector(target.number)
        fields = {"dst": target.number, "a": source.number, "c": size}
        if source.is_mask:
            draft.read_vector(source.number)
            draft.emit(Op.V_MOVE, **fields)
        else:
            draft.cls = Class.INT_TO_VEC
            draft.read(source.number)
            draft.emit(Op.V_DUP, size=size, **fields)
        return draft.finish()
    if isinstance(source, Register):
        return _get_lane(draft, target, source, size, 0)
    if isinstance(target, Register) and isinstance(source, Memory):
        draft.cls = Class.LOAD_VEC
        draft.write_vector(target.number)
        access(draft, Op.V_LOAD, source, size, dst=target.number)
    return draft.finish()


# ---- Operations ----


def _operation(name: str, operands: Operands) -> Instruction:
    """Anything that computes a vector, a mask, flags or an integer from vectors."""
    cls = classify(name)
    target, *sources = operands.all
    draft = Draft(cls)
    draft.width = _width(name, operands)
    draft.flops = LANES.get(cls, 0) * max(1, draft.width // element_bytes(name))
    if _is_zero(name, operands):
        sources = []
        draft.cls = Class.NOP  # renaming does it
    elif name in TO_FLAGS:
        sources = list(operands.all)
    elif isinstance(target, Register) and target.vector and _reads_target(name, cls, operands):
        draft.read_vector(target.number)
        if cls == Class.FMA:
            draft.accumulator = target.timed
    _note_mask(draft, operands)
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
    return cls == Class.FMA or not (name.startswith(("v", "k")) or name in UNMERGED)


def _is_zero(name: str, operands: Operands) -> bool:
    """x ^ x and x - x, of integers or by xorps: no dependence on x."""
    *_, left, right = operands.all if len(operands.all) > 1 else (None, *operands.all)
    return left == right and bool(re.match(r"v?(p?xor|psub)", name))


def _note_mask(draft: Draft, operands: Operands, target: Register | None = None) -> None:
    if operands.mask is None:
        return
    draft.read_vector(operands.mask)
    if target is not None and not operands.zeroing:
        draft.read_vector(target.number)


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
        raise ValueError("an integer from vector arithmetic")


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
    if not isinstance(target, Register):
        raise ValueError("target")
    draft = Draft(Class.VEC_TO_INT)
    draft.write(target.number)
    number = _source(draft, source, name)
    # Only when executed does it matter that the value is not known.
    draft.emit(Op.V_UNKNOWN, dst=SCRATCH)
    draft.emit(Op.V_GET, dst=target.number, a=SCRATCH, size=4)
    draft.width = 16 if number is not None else 4
    return draft.finish()


_SPECIAL: tuple[tuple[re.Pattern[str], Callable[[str, Operands], Instruction]], ...] = (
    (_MOVE_OF_INTEGER, _move_of_integer),
    (_EXTRACT, _extract),
    (_INSERT, _insert),
    (_BROADCAST, _broadcast),
    (_MASK_MOVE, _mask_move),
    (re.compile(r"v?p?movmsk|v?cvtt?[sp][sd]2u?si"), _to_integer),
)
