# SPDX-License-Identifier: Apache-2.0
"""The loops of a simulated kernel, hottest first: which instructions its cycles go to.

Takes executed instructions with their counts and cycles; gives `Loop`s, innermost ones only, found by their
backward branches.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

# As the disassembler writes direct branches: the last operand is the target's address.
TARGET = re.compile(r"(?:^|[ ,])0x([0-9a-f]+)$")
BRANCH = re.compile(r"^(b|b\.?\w\w|cbn?z|tbn?z|j\w+|loop\w*)\s")
MOSTLY = 0.5  # a loop is its inner one when that has so much of its cycles


@dataclass(frozen=True)
class ListedInstruction:
    """One machine instruction: how often it ran, the cycles it held up the core, and why."""

    address: int
    text: str
    count: int
    cycles: float
    cause: str = ""

    @property
    def each(self) -> float:
        """Cycles an execution."""
        return self.cycles / self.count if self.count else 0.0

    @property
    def jumps_to(self) -> int | None:
        """Where a direct branch goes, None for other instructions."""
        target = TARGET.search(self.text) if BRANCH.match(self.text) else None
        return None if target is None else int(target[1], 16)


@dataclass(frozen=True)
class Loop:
    """A loop's body in the order of addresses, and how often it was gone through."""

    lines: tuple[ListedInstruction, ...]
    passes: int

    @property
    def cycles(self) -> float:
        """Of all passes."""
        return sum(line.cycles for line in self.lines)

    @property
    def each(self) -> float:
        """Cycles a pass."""
        return self.cycles / self.passes if self.passes else 0.0


def loops(lines: Sequence[ListedInstruction]) -> tuple[Loop, ...]:
    """Innermost loops, most cycles first. `lines` in the order of addresses, none left out that ran.

    A loop of the same code that is entered in several places counts once; one that jumps over a part that
    never ran has that part left out.
    """
    spans: dict[tuple[int, int], int] = {}
    for line in lines:
        target = line.jumps_to
        if target is not None and target <= line.address and line.count:
            spans[target, line.address] = line.count
    found = [_loop(lines, first, last, count) for (first, last), count in spans.items()]
    return tuple(
        sorted(
            (loop for loop in found if not _is_outer(loop, found)),
            key=lambda loop: -loop.cycles,
        )
    )


def _loop(lines: Sequence[ListedInstruction], first: int, last: int, count: int) -> Loop:
    inside = tuple(line for line in lines if first <= line.address <= last and line.count)
    return Loop(inside, count)


def _is_outer(loop: Loop, others: Sequence[Loop]) -> bool:
    """Whether a loop within it has most of its cycles."""
    first, last = loop.lines[0].address, loop.lines[-1].address
    return any(
        other is not loop
        and first <= other.lines[0].address
        and other.lines[-1].address <= last
        and len(other.lines) < len(loop.lines)
        and other.cycles >= MOSTLY * loop.cycles
        for other in others
    )
