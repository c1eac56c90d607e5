# SPDX-License-Identifier: Apache-2.0
"""AArch64 loads and stores to `Instruction`s.

Takes a mnemonic and its operands; gives the parts of the instruction, or none when it is no access.
"""

import re

from mnc.compile.simulator.decoders.aarch64.operands import (
    SP,
    Integer,
    Memory,
    Number,
    Vector,
    VectorList,
)
from mnc.compile.simulator.decoders.aarch64.values import Operands, integer_write
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FIRST_VECTOR, Class, Flag, Instruction
from mnc.compile.simulator.isa.micro_ops import Modify, Op

_PLAIN = re.compile(r"(ld|st)(u|n|a|l|t|nt)?(r|p|ur|tr)(s?[bhw])?$")
_STRUCTURE = re.compile(r"(ld|st)([1-4])(r?)$")
NARROW = {"b": 1, "h": 2, "w": 4}


def decode(mnemonic: str, operands: Operands) -> tuple[Instruction, ...]:
    """Its parts; empty when the mnemonic is no load or store."""
    if mnemonic in ("prfm", "prfum"):
        return (_prefetch(operands),)
    if match := _STRUCTURE.match(mnemonic):
        load, count, repeated = match[1] == "ld", int(match[2]), bool(match[3])
        return _structure(operands, load=load, count=count, repeated=repeated)
    if match := _PLAIN.match(mnemonic):
        return (_plain(operands, load=match[1] == "ld", narrow=match[4] or ""),)
    return ()


class _Address:
    """A memory operand: emits what changes the base, and offers the fields of an access."""

    def __init__(self, draft: Draft, operands: Operands) -> None:
        where = next(i for i, one in enumerate(operands) if isinstance(one, Memory))
        memory = expect(Memory, operands[where])
        self._draft, self._memory = draft, memory
        self._after = operands[where + 1] if where + 1 < len(operands) else None
        draft.address(memory.base, memory.offset_register, stack_pointer=SP)
        if isinstance(self._after, Integer):
            draft.address(self._after.number, stack_pointer=SP)
        if memory.pre:
            draft.emit(Op.ADD, dst=memory.base, a=memory.base, imm=memory.offset)

    def fields(self, extra: int = 0) -> dict[str, int]:
        """Base, index and constant of the access `extra` bytes on."""
        one = self._memory
        offset = 0 if one.pre else one.offset
        return {
            "a": one.base,
            "b": one.offset_register,
            "shift": one.shift,
            "modify": one.modify,
            "imm": offset + extra,
        }

    def is_base(self, register: Integer | Vector) -> bool:
        """Whether it is the base too."""
        return isinstance(register, Integer) and register.number == self._memory.base

    def finish(self) -> None:
        """What happens to the base after the access; registers loaded are noted before."""
        base = self._memory.base
        if isinstance(self._after, Number):
            self._draft.emit(Op.ADD, dst=base, a=base, imm=self._after.value)
        elif isinstance(self._after, Integer):
            self._draft.emit(Op.ADD, dst=base, a=base, b=self._after.number, modify=Modify.LSL)
        elif not self._memory.pre:
            return
        self._draft.write(base)
        self._draft.base_update = base


def _prefetch(operands: Operands) -> Instruction:
    draft = Draft(Class.PREFETCH)
    address = _Address(draft, operands)
    draft.emit(Op.PREFETCH, **address.fields())
    draft.loads = 1
    return draft.finish()


def _plain(operands: Operands, *, load: bool, narrow: str) -> Instruction:
    registers = [one for one in operands if isinstance(one, Integer | Vector)]
    where = next((i for i, one in enumerate(operands) if isinstance(one, Memory)), None)
    if where is None:
        raise SimulationError("it reads constants beside the code")
    registers = registers[:where]
    first = registers[0]
    vector = isinstance(first, Vector)
    classes = {
        (True, True): Class.LOAD_VEC,
        (True, False): Class.LOAD_INT,
        (False, True): Class.STORE_VEC,
        (False, False): Class.STORE_INT,
    }
    draft = Draft(classes[load, vector])
    address = _Address(draft, operands)
    if isinstance(first, Vector):
        draft.width, size = first.bytes, first.bytes
    else:
        size = NARROW[narrow[-1]] if narrow else first.size
    # The base is overwritten last, by either register of a pair.
    for i, register in sorted(
        enumerate(registers), key=lambda one: load and address.is_base(one[1])
    ):
        _one(draft, register, address.fields(i * size), size, load=load, signed="s" in narrow)
    address.finish()
    draft.loads, draft.stores = (len(registers), 0) if load else (0, len(registers))
    return draft.finish()


def _one(
    draft: Draft,
    register: Integer | Vector,
    fields: dict[str, int],
    size: int,
    *,
    load: bool,
    signed: bool,
) -> None:
    if isinstance(register, Vector):
        (draft.write_vector if load else draft.read_vector)(register.number)
        op = Op.V_LOAD if load else Op.V_STORE
        draft.emit(op, size=size, dst=register.number, **fields)
    elif not load:
        draft.read(register.number)
        draft.emit(Op.STORE, size=size, dst=register.number, **fields)
    elif signed:
        to = integer_write(draft, register)
        draft.emit(Op.LOAD_S, size=size, dst=to, c=register.size, **fields)
    else:
        draft.emit(Op.LOAD, size=size, dst=integer_write(draft, register), **fields)


def _structure(
    operands: Operands, *, load: bool, count: int, repeated: bool
) -> tuple[Instruction, ...]:
    """ld1-ld4, st1-st4. Those of two to four interleaved elements also shuffle."""
    listed = expect(VectorList, operands[0])
    vectors, lane = listed.vectors, listed.lane
    one_lane = lane is not None
    cls = Class.LOAD_VEC if load else Class.STORE_VEC
    if load and (repeated or one_lane):
        cls = Class.LOAD_BROADCAST if repeated else Class.LOAD_LANE
    elif len(vectors) > 1 and not one_lane:
        cls = Class.LOAD_SEVERAL if load else Class.STORE_SEVERAL
    draft = Draft(cls)
    draft.width = vectors[0].bytes if not one_lane else 16
    address = _Address(draft, operands)
    for i, vector in enumerate(vectors):
        size = vector.lane_bytes if repeated or one_lane else vector.bytes
        fields = address.fields(i * size)
        if load:
            draft.write_vector(vector.number)
        if not load or one_lane:
            draft.read_vector(vector.number)
        _element(draft, vector, fields, load=load, lane=lane, repeated=repeated, count=count)
    address.finish()
    accesses = len(vectors)
    draft.loads, draft.stores = (accesses, 0) if load else (0, accesses)
    access = draft.finish()
    if count == 1 or repeated or one_lane:
        return (access,)
    shuffles = [_shuffle(vector, written=load) for vector in vectors]
    if load:
        return (access, *(_part(one) for one in shuffles))
    return (shuffles[0], *(_part(one) for one in [*shuffles[1:], access]))


def _element(
    draft: Draft,
    vector: Vector,
    fields: dict[str, int],
    *,
    load: bool,
    lane: int | None,
    repeated: bool,
    count: int,
) -> None:
    number, size = vector.number, vector.lane_bytes
    if repeated:
        draft.emit(Op.V_LOAD_DUP, size=size, dst=number, c=vector.bytes, **fields)
    elif lane is not None:
        op = Op.V_LOAD_LANE if load else Op.V_STORE_LANE
        draft.emit(op, size=size, dst=number, c=lane, **fields)
    elif count == 1:
        draft.emit(Op.V_LOAD if load else Op.V_STORE, size=vector.bytes, dst=number, **fields)
    elif load:  # interleaved data are not followed
        draft.emit(Op.TOUCH_LOAD, size=vector.bytes, **fields)
        draft.emit(Op.V_UNKNOWN, dst=number)
    else:
        draft.emit(Op.TOUCH_STORE, size=vector.bytes, **fields)


def _shuffle(vector: Vector, *, written: bool) -> Instruction:
    register = (vector.number + FIRST_VECTOR,)
    return Instruction(
        Class.VEC_PERMUTE, dst=register if written else (), src=register, width=vector.bytes
    )


def _part(one: Instruction) -> Instruction:
    return one._replace(flags=one.flags | Flag.CONTINUES)
