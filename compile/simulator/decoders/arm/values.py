# SPDX-License-Identifier: Apache-2.0
"""Values of 32-bit ARM instructions: shifted operands, addresses and conditional results, as micro-ops.

Takes operands of `arm_operands`. An instruction under a condition always runs: its result is chosen in the
end, and an access that does not happen becomes one at the stack pointer, which costs no miss.
"""

from collections.abc import Callable

from mnc.compile.simulator.decoders.arm.operands import (
    PC,
    SP,
    Constant,
    Integer,
    Memory,
    Name,
    Operand,
    Shifted,
    parse,
)
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, Modify, Op

_MODIFY = {"lsl": Modify.LSL, "lsr": Modify.LSR, "asr": Modify.ASR, "ror": Modify.ROR}
_SHIFTS = {"lsl": Op.SHL, "lsr": Op.SHR, "asr": Op.SAR}
Value = dict[str, int]
Handler = Callable[[Line, Name], Instruction]


class ArmDraft(Draft):
    """A draft that knows where the instruction stands and under which condition."""

    address_of = 0
    condition = Condition.AL

    @property
    def conditional(self) -> bool:
        return self.condition != Condition.AL

    def source(self, number: int) -> int:
        """Register to read; the program counter is 8 bytes ahead."""
        if number == PC:
            here = self.temporary()
            self.emit(Op.MOV, size=4, dst=here, imm=self.address_of + 8)
            return here
        self.read(number)
        return number

    def goal(self, number: int) -> int:
        """Where to put a result that `settle` then brings to a register."""
        return self.temporary() if self.conditional or number == PC else number

    def settle(self, number: int, result: int) -> None:
        """The result is the register's, if the condition holds; a new program counter is a jump."""
        if number == PC:
            self.leave()
            self.emit(Op.JUMP, a=result)
            return
        self.write(number)
        if self.conditional:
            self.read(number, FLAGS)
            fields = {"dst": number, "a": result, "b": number, "c": self.condition}
            self.emit(Op.SELECT, size=4, **fields)

    def leave(self) -> None:
        """Control goes elsewhere from here, if the condition holds."""
        self.flags |= Flag.ENDS_BLOCK
        if self.conditional:
            self.read(FLAGS)
            self.emit(Op.BRANCH_IF, c=self.condition ^ 1, imm=self.address_of + 4)


def draft_at(line: Line, name: Name, cls: Class) -> ArmDraft:
    """An empty draft under the instruction's condition."""
    draft = ArmDraft(cls)
    draft.address_of, draft.condition = line.address, name.condition
    return draft


def integer_draft(line: Line, name: Name, cls: Class = Class.INT) -> ArmDraft:
    """As `draft_at`, for an instruction that may set flags. SimulationError where that is conditional too."""
    if name.sets_flags and name.condition != Condition.AL:
        raise SimulationError("conditional and sets flags")
    return draft_at(line, name, cls)


def integers(line: Line) -> tuple[list[int], list[Operand]]:
    """Leading registers' numbers, and the other operands."""
    operands = list(parse(line.operands))
    registers = []
    for one in operands:
        if not isinstance(one, Integer):
            break
        registers.append(one.number)
    return registers, operands[len(registers) :]


def set_flags(draft: ArmDraft, op: Op, **fields: int) -> None:
    """N Z C V of an operation, if the condition holds."""
    if draft.conditional:
        draft.read(FLAGS)
        draft.emit(Op.SKIP_UNLESS, c=draft.condition, imm=1)
    draft.emit(op, size=4, **fields)
    draft.write(FLAGS)


def value(draft: ArmDraft, operand: Operand) -> Value:
    """The fields of a micro-op's operand: a constant, a register, a shifted register."""
    if isinstance(operand, Constant):
        return {"imm": operand.value}
    if isinstance(operand, Integer):
        return {"b": draft.source(operand.number)}
    operand = expect(Shifted, operand)
    number = draft.source(operand.number)
    if not operand.by_register:
        return {"b": number, "modify": _MODIFY[operand.kind], "shift": operand.by}
    return {"b": shifted(draft, operand.kind, number, draft.source(operand.by))}


def shifted(draft: ArmDraft, kind: str, number: int, by: int) -> int:
    """R[number] shifted by R[by]: 32 and more leave nothing, as ARM has it and a shift of 64 bits does."""
    result = draft.temporary()
    if kind == "ror":
        draft.emit(Op.ROR, size=4, dst=result, a=number, b=by)
        return result
    extend = Modify.SXTW if kind == "asr" else Modify.UXTW
    draft.emit(Op.MOV, dst=result, b=number, modify=extend)
    draft.emit(_SHIFTS[kind], dst=result, a=result, b=by)
    draft.emit(Op.MOV, size=4, dst=result, b=result)
    return result


def address(draft: ArmDraft, memory: Memory) -> Value:
    """The fields of a micro-op that accesses memory, with the address wrapped at 32 bits."""
    if memory.base == PC:
        fields = _address_of_literal(draft, memory)
    else:
        draft.address(memory.base, stack_pointer=SP)
        fields = {"a": memory.base, "imm": memory.offset}
        if memory.index is not None:
            fields = _indexed(draft, memory)
    return _harmless(draft, fields)


def _address_of_literal(draft: ArmDraft, memory: Memory) -> Value:
    here = (draft.address_of + 8) & ~3
    if memory.index is None:
        return {"a": ZERO, "imm": here + memory.offset}
    at = draft.temporary()
    draft.address(memory.index.number, stack_pointer=SP)
    draft.emit(Op.ADD, size=4, dst=at, a=memory.index.number, imm=here)
    return {"a": at, "imm": 0}


def _indexed(draft: ArmDraft, memory: Memory) -> Value:
    index = memory.index
    if index is None:
        raise SimulationError("no index")
    draft.address(index.number, stack_pointer=SP)
    at = draft.temporary()
    modify: Value = {}
    if isinstance(index, Shifted):
        modify = {"modify": _MODIFY[index.kind], "shift": index.by}
    op = Op.SUB if memory.negative else Op.ADD
    draft.emit(op, size=4, dst=at, a=memory.base, b=index.number, **modify)
    return {"a": at, "imm": 0}


def _harmless(draft: ArmDraft, fields: Value) -> Value:
    if not draft.conditional:
        return fields
    at = draft.temporary()
    draft.read(FLAGS)
    draft.emit(Op.ADD, size=4, dst=at, a=fields["a"], imm=fields["imm"])
    draft.emit(Op.SELECT, dst=at, a=at, b=SP, c=draft.condition)
    return {"a": at, "imm": 0}


def update(draft: ArmDraft, base: int, **operand: int) -> None:
    """base += operand, known early."""
    goal = draft.goal(base)
    draft.emit(Op.ADD, size=4, dst=goal, a=base, **operand)
    draft.settle(base, goal)
    draft.base_update = base
