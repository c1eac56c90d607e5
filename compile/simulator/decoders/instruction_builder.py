# SPDX-License-Identifier: Apache-2.0
"""An `Instruction` while a decoder puts it together: micro-ops in order, each register listed once.

Takes what the decoder finds out, piece by piece; gives the finished `Instruction`.
"""

from mnc.compile.simulator.isa.instructions import (
    FIRST_VECTOR,
    FLAGS,
    NONE,
    Class,
    Flag,
    Instruction,
)
from mnc.compile.simulator.isa.micro_ops import TEMPORARIES, MicroOp, Op


class Draft:
    """`reads` and `writes` are registers as timing sees them; `addresses` those that form an address."""

    def __init__(self, cls: Class) -> None:
        self.cls = cls
        self.ops: list[MicroOp] = []
        self.reads: list[int] = []
        self.addresses: list[int] = []
        self.writes: list[int] = []
        self.base_update: int | None = None
        self.accumulator: int | None = None
        self.width = self.loads = self.stores = self.flops = self.flags = 0
        self._temporaries = iter(TEMPORARIES)

    def emit(self, op: Op, **fields: int) -> None:
        """Append a micro-op; fields as in `MicroOp`."""
        self.ops.append(MicroOp(op, **fields))  # type: ignore[arg-type]

    def temporary(self) -> int:
        """An integer register that no instruction can name."""
        return next(self._temporaries)

    def read(self, *registers: int) -> None:
        """Timing waits for these integer registers, or FLAGS."""
        self.read_timed(*_timed(registers))

    def write(self, *registers: int) -> None:
        self.write_timed(*_timed(registers))

    def read_timed(self, *registers: int) -> None:
        """Registers of any kind, in timing's numbering."""
        _add(self.reads, registers)

    def write_timed(self, *registers: int) -> None:
        _add(self.writes, registers)

    def read_vector(self, *numbers: int) -> None:
        self.read_timed(*(number + FIRST_VECTOR for number in numbers))

    def write_vector(self, *numbers: int) -> None:
        self.write_timed(*(number + FIRST_VECTOR for number in numbers))

    def address(self, *registers: int, stack_pointer: int) -> None:
        """Registers of a memory operand."""
        _add(self.addresses, _timed(registers))
        if stack_pointer in registers:
            self.flags |= Flag.STACK

    def finish(self) -> Instruction:
        """The instruction; sources are data first, then addresses."""
        reads = [one for one in self.reads if one not in self.addresses]
        accumulator = NONE
        if self.accumulator is not None:
            accumulator = reads.index(self.accumulator)
        update = NONE if self.base_update is None else self.writes.index(self.base_update)
        return Instruction(
            cls=self.cls,
            micro_ops=tuple(self.ops),
            dst=tuple(self.writes),
            src=(*reads, *self.addresses),
            width=self.width,
            loads=self.loads,
            stores=self.stores,
            flops=self.flops,
            accumulator=accumulator,
            base_update=update,
            first_address=len(reads) if self.addresses else NONE,
            flags=self.flags,
        )


def _timed(registers: tuple[int, ...]) -> tuple[int, ...]:
    """Without those of micro-ops alone (ZERO, temporaries), whose numbers are vector registers to timing."""
    return tuple(one for one in registers if one < FIRST_VECTOR or one == FLAGS)


def _add(known: list[int], registers: tuple[int, ...]) -> None:
    known += [one for one in dict.fromkeys(registers) if one not in known]
