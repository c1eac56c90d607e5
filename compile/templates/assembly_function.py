# SPDX-License-Identifier: Apache-2.0
"""Assembly of our own order as a function in LLVM's IR, which TVM links to a kernel and LLVM inlines.

Takes lines and what their registers hold; gives the text of the call. What changes is an operand in the
register that the lines name, so that what LLVM makes of a tile afterwards finds it there.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

REGISTERS = 32  # of vectors
VECTOR_BYTES = 16
LINE = 64
OFFSET_BITS = 12  # of the constant that an instruction adds, or adds shifted by as many
MOST_OFFSET = 8 * ((1 << OFFSET_BITS) - 1)  # from a register, of a prefetch
MOST_AHEAD = (1 << 2 * OFFSET_BITS) - 1


@dataclass(frozen=True)
class Assembly:
    """`made`: registers of results and their types; `changed`: those with a (type, value) before as well;
    `read`: those that stay; `scratch`: those that hold anything afterwards.
    """

    lines: Sequence[str]
    made: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]
    read: Mapping[str, tuple[str, str]]
    scratch: Sequence[str]

    @property
    def result(self) -> str:
        """The type of `%r`: what is made, then what changed, in order."""
        kinds = [*self.made.values(), *(kind for kind, _ in self.changed.values())]
        return f"{{ {', '.join(kinds)} }}" if kinds else "void"

    @property
    def call(self) -> str:
        """The instruction of LLVM's that runs the lines, and names what it gives `%r`."""
        constraints = [f"={{{one}}}" for one in [*self.made, *self.changed]]
        constraints += [f"{{{one}}}" for one in [*self.changed, *self.read]]
        constraints += [f"~{{{one}}}" for one in [*self.scratch, "cc", "memory"]]
        values = [*self.changed.values(), *self.read.values()]
        text = "\\0A".join(self.lines)
        name = "%r = " if self.result != "void" else ""
        return (
            f'{name}call {self.result} asm sideeffect "{text}", "{",".join(constraints)}"'
            f"({', '.join(f'{kind} {value}' for kind, value in values)})"
        )


def define(name: str, parameters: str, body: Iterable[str]) -> str:
    """The function."""
    start = f"define linkonce_odr i32 @{name}({parameters}) alwaysinline {{"
    return "\n".join([start, *body, "ret i32 0", "}"])


def even_parts(pixels: int, most: int, *, group: int = 1) -> list[tuple[int, int]]:
    """(first, end) of parts of `pixels` for a function each: as few as are of at most `most`, of about the
    same size, all but the last of a multiple of `group`.
    """
    count = -(-pixels // most)
    ends = [min(pixels, -(-pixels * i // count // group) * group) for i in range(count + 1)]
    return list(itertools.pairwise(ends))


def free(used: Iterable[str]) -> list[str]:
    """The vector registers but those."""
    kept = set(used)
    return [f"v{i}" for i in range(REGISTERS) if f"v{i}" not in kept]


def prefetches(size: int, ahead: int, *, base: int, at: int) -> list[str]:
    """Of `size` bytes, so many ahead of where integer register `base` points, or behind it, by way of
    register `at`; none where that is 0.
    """
    if not ahead:
        return []
    length = size - VECTOR_BYTES
    # A constant away from the pixels, so that a trace knows where: emulators tell of loads only.
    if 0 < ahead <= MOST_OFFSET - length:
        register, first, lines = base, ahead, []
    else:
        far, first = divmod(ahead, 1 << OFFSET_BITS)
        step = "add" if far >= 0 else "sub"
        register, lines = at, [f"{step} x{at}, x{base}, #{abs(far)}, lsl #{OFFSET_BITS}"]
    places = [*range(first, first + length, LINE), first + length]
    return [*lines, *(f"prfm pldl1keep, [x{register}, #{byte}]" for byte in places)]
