# SPDX-License-Identifier: Apache-2.0
"""Loads placed beside a sequence of vector instructions of AArch64, of our own order.

Takes `Step`s that read what is `Loaded`; gives lines. A number is loaded some instructions before its use,
into the register that is free longest, and its register is free again behind its last use.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

LEAD = 10  # loads before the first multiplication, of which an A53's wait for each


class Loaded(Protocol):
    """What one use of a number or several next to each other have in common."""

    def line(self, register: int) -> str:
        """The instruction that loads it into that vector register."""


@dataclass(frozen=True)
class Step:
    """An instruction without the operands that it `reads`, and their lanes."""

    text: str
    reads: tuple[Loaded, ...] = ()
    lanes: str = ""


def with_loads(steps: list[Step], registers: Iterable[int]) -> Iterator[str]:
    """The steps and their loads, in the order in which they are first read: at most one behind a step but
    where the next step needs more.
    """
    wanted = list(dict.fromkeys(one for step in steps for one in step.reads))
    last = {one: i for i, step in enumerate(steps) for one in step.reads}
    free = list(registers)
    held: dict[Loaded, int] = {}

    def load() -> str:
        one = wanted.pop(0)
        held[one] = free.pop(0)
        return one.line(held[one])

    for _ in range(min(LEAD, len(free), len(wanted))):
        yield load()
    for i, step in enumerate(steps):
        while any(one not in held for one in step.reads):
            yield load()
        yield ", ".join([step.text, *(f"v{held[one]}.{step.lanes}" for one in step.reads)])
        free += [held[one] for one in step.reads if last[one] == i]
        if wanted and free:
            yield load()
