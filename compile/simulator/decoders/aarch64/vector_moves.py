# SPDX-License-Identifier: Apache-2.0
"""AArch64 moves between vector registers, lanes, integer registers and constants, and conversions of them.

Takes a mnemonic and its operands; gives the instruction.
"""

from mnc.compile.simulator.decoders.aarch64.lanes import SCRATCH
from mnc.compile.simulator.decoders.aarch64.operands import Integer, Vector
from mnc.compile.simulator.decoders.aarch64.values import Operands, integer_write
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Class, Instruction
from mnc.compile.simulator.isa.micro_ops import Op


def move(mnemonic: str, operands: Operands) -> Instruction:
    target, source = operands[:2]
    if isinstance(target, Integer) and isinstance(source, Vector):
        return _get_lane(mnemonic, target, source)
    target = expect(Vector, target)
    if isinstance(source, Integer):
        return _set_lane(target, source)
    if not isinstance(source, Vector):
        return _constant(target)
    if target.lane is not None or source.lane is not None:
        return _lane_to_lane(target, source)
    draft = Draft(Class.VEC_MOVE)
    draft.width = target.bytes
    draft.read_vector(source.number)
    draft.write_vector(target.number)
    draft.emit(Op.V_MOVE, dst=target.number, a=source.number, c=target.bytes)
    return draft.finish()


def _constant(target: Vector) -> Instruction:
    """A floating-point constant."""
    draft = Draft(Class.VEC_MOVE)
    draft.width = target.bytes
    draft.write_vector(target.number)
    draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()


def _get_lane(mnemonic: str, target: Integer, source: Vector) -> Instruction:
    draft = Draft(Class.VEC_TO_INT)
    draft.width = source.bytes
    draft.read_vector(source.number)
    to, lane = integer_write(draft, target), source.lane or 0
    size = source.lane_bytes
    if mnemonic == "smov":
        draft.emit(Op.V_GET_S, size=size, dst=to, a=source.number, shift=lane, c=target.size)
    else:
        draft.emit(Op.V_GET, size=size, dst=to, a=source.number, shift=lane)
    return draft.finish()


def _set_lane(target: Vector, source: Integer) -> Instruction:
    draft = Draft(Class.INT_TO_VEC)
    draft.width = target.bytes
    draft.read(source.number)
    size = target.lane_bytes
    if target.lane is None:
        draft.emit(Op.V_DUP, size=size, dst=target.number, a=source.number, c=size)
    else:
        draft.read_vector(target.number)
        draft.emit(Op.V_SET, size=size, dst=target.number, a=source.number, shift=target.lane)
    draft.write_vector(target.number)
    return draft.finish()


def _lane_to_lane(target: Vector, source: Vector) -> Instruction:
    draft = Draft(Class.VEC_PERMUTE)
    draft.width, size = 16, target.lane_bytes
    draft.read_vector(source.number)
    at, number = source.lane or 0, target.number
    if target.lane is None:  # a scalar: the rest becomes zero
        draft.emit(Op.V_DUP_LANE, size=size, dst=number, a=source.number, c=size, shift=at)
    else:
        draft.read_vector(number)
        draft.emit(Op.V_SET_LANE, size=size, dst=number, a=source.number, shift=target.lane, imm=at)
    draft.write_vector(number)
    return draft.finish()


def to_integer(operands: Operands) -> Instruction:
    """A conversion from floating point: an integer that cannot be known."""
    target, source = operands[:2]
    if not isinstance(source, Vector) or not isinstance(target, Integer):
        raise SimulationError("an integer from vectors in a way that is not known")
    draft = Draft(Class.VEC_TO_INT)
    draft.width = source.bytes
    draft.read_vector(source.number)
    draft.emit(Op.V_UNKNOWN, dst=SCRATCH)
    draft.emit(Op.V_GET, size=target.size, dst=integer_write(draft, target), a=SCRATCH)
    return draft.finish()


def from_integer(mnemonic: str, operands: Operands) -> Instruction:
    """dup, ins, and conversions of an integer register."""
    target, source = operands[:2]
    if not isinstance(target, Vector) or not isinstance(source, Integer):
        raise SimulationError("a vector from integers in a way that is not known")
    if mnemonic == "ins":
        return _set_lane(target, source)
    draft = Draft(Class.INT_TO_VEC)
    draft.width = target.bytes
    draft.read(source.number)
    draft.write_vector(target.number)
    if mnemonic == "dup":
        size, total = target.lane_bytes, target.bytes
        draft.emit(Op.V_DUP, size=size, dst=target.number, a=source.number, c=total)
    else:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()
