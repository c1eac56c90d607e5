# SPDX-License-Identifier: Apache-2.0
"""x86-64 moves of vectors, lanes and masks: between registers and memory, to and from integers, broadcast.

Takes a mnemonic and its operands; gives an `Instruction`.
"""

import re
from collections.abc import Callable

from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.decoders.x86.operands import (
    Constant,
    Memory,
    Operand,
    Operands,
    Register,
)
from mnc.compile.simulator.decoders.x86.tables import is_scalar
from mnc.compile.simulator.decoders.x86.values import access, register
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Class, Instruction
from mnc.compile.simulator.isa.micro_ops import Op

_MOVE_OF_INTEGER = re.compile(r"v?mov([dqw])$")
_EXTRACT = re.compile(r"v?(?:pextr([bwdq])|extractps)$")
_INSERT = re.compile(r"v?pinsr([bwdq])$")
_BROADCAST = re.compile(r"v?p?broadcast")
_MASK_MOVE = re.compile(r"kmov[bwdq]$")
_BYTES = {"b": 1, "w": 2, "d": 4, "q": 8}


def move(name: str, operands: Operands) -> Instruction:
    """A whole vector, or the low lane of one (movss), between registers and memory."""
    target, source = operands.all[0], operands.all[-1]
    draft = Draft(Class.VEC_MOVE)
    note_mask(draft, operands)
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
        raise SimulationError("operands of a move")
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
    source = expect(Register, source)
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
    lane = expect(Constant, lane)
    draft = Draft(Class.VEC_TO_INT)
    draft.width = size
    return _get_lane(draft, target, source, size, lane.value % (16 // size))


def _insert(name: str, operands: Operands) -> Instruction:
    target, *middle, source, lane = operands.all
    size = _BYTES[name[-1]]
    target, lane = expect(Register, target), expect(Constant, lane)
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
    target = expect(Register, target)
    draft = Draft(Class.VEC_PERMUTE)
    draft.width = target.size
    note_mask(draft, operands, target)
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


def note_mask(draft: Draft, operands: Operands, target: Register | None = None) -> None:
    if operands.mask is None:
        return
    draft.read_vector(operands.mask)
    if target is not None and not operands.zeroing:
        draft.read_vector(target.number)


# By how their mnemonics begin; the first that matches.
HANDLERS: tuple[tuple[re.Pattern[str], Callable[[str, Operands], Instruction]], ...] = (
    (_MOVE_OF_INTEGER, _move_of_integer),
    (_EXTRACT, _extract),
    (_INSERT, _insert),
    (_BROADCAST, _broadcast),
    (_MASK_MOVE, _mask_move),
)
