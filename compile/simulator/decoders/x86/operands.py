# SPDX-License-Identifier: Apache-2.0
"""Operands of x86-64 instructions in Intel syntax: text to registers, memory and constants.

Takes the operand text of a `Line`; gives `Register`, `Memory` and `Constant` values with the registers in the
numbering of micro_ops.py, and the mask that an AVX-512 instruction works under.
"""

import functools
import re
from dataclasses import dataclass

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FIRST_VECTOR, Line
from mnc.compile.simulator.isa.micro_ops import ZERO

RSP = 4
FIRST_MASK = 56  # k0 among the vector registers: 88 in timing's numbering
SCRATCH = 40  # a vector register that no x86 instruction can name
_NAMES = "rax rcx rdx rbx rsp rbp rsi rdi".split()
_SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32, "zmmword": 64}
_MEMORY = re.compile(
    r"(?:(?P<size>\w+) ptr )?(?:[c-gs]s:)?\[(?P<address>[^\]]+)\](?:\{1to(?P<copies>\d+)\})?$"
)
_VECTOR = re.compile(r"([xyz])mm(\d+)$")
_MASK = re.compile(r"\s*\{(k\d|z|r[nduz]-sae|sae)\}")
_NUMBER = re.compile(r"-?(0x[0-9a-f]+|\d+)$")


@dataclass(frozen=True)
class Register:
    """An integer register (0-15; `shift` 8 for ah to bh), a vector (0-31) or a mask register (56-63)."""

    number: int
    size: int
    vector: bool = False
    shift: int = 0

    @property
    def timed(self) -> int:
        """Its number as timing sees it."""
        return self.number + FIRST_VECTOR if self.vector else self.number

    @property
    def is_mask(self) -> bool:
        return self.vector and self.number >= FIRST_MASK


@dataclass(frozen=True)
class Memory:
    """[base + (index << scale) + displacement]; ZERO stands for no register. `size` is that of the access
    (0: the instruction does not say), `copies` how often a broadcast repeats it.
    """

    base: int
    index: int
    scale: int
    displacement: int
    size: int
    copies: int = 1

    @property
    def registers(self) -> tuple[int, ...]:
        return tuple(register for register in (self.base, self.index) if register != ZERO)


@dataclass(frozen=True)
class Constant:
    value: int


Operand = Register | Memory | Constant


@dataclass(frozen=True)
class Operands:
    """`mask` is the number of the mask register, None without one; `zeroing`: masked lanes become 0."""

    all: tuple[Operand, ...]
    mask: int | None = None
    zeroing: bool = False


def parse(line: Line) -> Operands:
    """The operands of a line; SimulationError for text that is none."""
    text, mask, zeroing = line.operands, None, False
    for found in _MASK.findall(text):
        if found == "z":
            zeroing = True
        elif found.startswith("k"):
            mask = FIRST_MASK + int(found[1])
    text = _MASK.sub("", text)
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    return Operands(tuple(_operand(part, line) for part in parts), mask, zeroing)


def _operand(text: str, line: Line) -> Operand:
    if register := integer_register(text) or _vector_register(text):
        return register
    if _NUMBER.match(text):
        return Constant(int(text, 0))
    if match := _MEMORY.match(text):
        size = _SIZES.get(match["size"] or "", 0)
        return _memory(match["address"], size, int(match["copies"] or 1), line)
    raise SimulationError(f"operand {text!r}")


@functools.cache
def integer_register(name: str) -> Register | None:
    """rax, eax, ax, al, ah, r8, r8d, r8w, r8b, ..."""
    return _integer_registers().get(name)


@functools.cache
def _integer_registers() -> dict[str, Register]:
    table: dict[str, Register] = {}
    for number, name in enumerate(_NAMES):
        short = name[1:]
        table |= {name: Register(number, 8), f"e{short}": Register(number, 4)}
        table |= {short: Register(number, 2)}
        low = f"{short[0]}l" if short.endswith("x") else f"{short}l"
        table[low] = Register(number, 1)
        if short.endswith("x"):
            table[f"{short[0]}h"] = Register(number, 1, shift=8)
    for number in range(8, 16):
        sizes = {"": 8, "d": 4, "w": 2, "b": 1}
        table |= {f"r{number}{suffix}": Register(number, size) for suffix, size in sizes.items()}
    return table


@functools.cache
def _vector_register(name: str) -> Register | None:
    if match := _VECTOR.match(name):
        return Register(int(match[2]), {"x": 16, "y": 32, "z": 64}[match[1]], vector=True)
    if re.match(r"k[0-7]$", name):
        return Register(FIRST_MASK + int(name[1]), 8, vector=True)
    return None


def _memory(text: str, size: int, copies: int, line: Line) -> Memory:
    base, index, scale, displacement = ZERO, ZERO, 0, 0
    for sign, term in re.findall(r"([+-]?)\s*([^\s+-]+)", text):
        if _NUMBER.match(term):
            displacement += int(sign + term, 0)
        elif term == "rip":
            displacement += line.address + line.size
        elif "*" in term:
            factor, name = term.split("*")
            index, scale = _number(name), int(factor).bit_length() - 1
        elif base == ZERO:
            base = _number(term)
        else:
            index = _number(term)
    return Memory(base, index, scale, displacement, size, copies)


def _number(name: str) -> int:
    register = integer_register(name)
    if register is None or register.size != 8:
        raise SimulationError(f"address register {name!r}")
    return register.number
