# SPDX-License-Identifier: Apache-2.0
"""Operands of AArch64 instructions, as LLVM prints them, taken apart.

Takes the text after the mnemonic; gives registers, vectors, numbers, memory operands and lists.
"""

import functools
import re
from typing import NamedTuple

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.micro_ops import ZERO, Condition, Modify

SP, LINK = 31, 30
CONDITIONS = {one.name.lower(): one for one in Condition} | {
    "hs": Condition.CS,
    "lo": Condition.CC,
    "nv": Condition.AL,
}
MODIFIERS = {
    "lsl": Modify.LSL,
    "lsr": Modify.LSR,
    "asr": Modify.ASR,
    "ror": Modify.ROR,
    "uxtb": Modify.UXTB,
    "uxth": Modify.UXTH,
    "uxtw": Modify.UXTW,
    "uxtx": Modify.LSL,
    "sxtb": Modify.SXTB,
    "sxth": Modify.SXTH,
    "sxtw": Modify.SXTW,
    "sxtx": Modify.LSL,
}
SCALAR_BYTES = {"b": 1, "h": 2, "s": 4, "d": 8, "q": 16}
_INTEGER = re.compile(r"([wx])(\d+|zr)$|(w?sp)$")
_SCALAR = re.compile(r"([bhsdq])(\d+)$")
_VECTOR = re.compile(r"v(\d+)\.(\d*)([bhsdq])(?:\[(\d+)\])?$")
_LIST = re.compile(r"\{(.*)\}(?:\[(\d+)\])?$")
_SPLIT = re.compile(r",\s*(?![^\[{]*[\]}])")


class Integer(NamedTuple):
    """w or x register; the zero register is `ZERO`. `size` in bytes."""

    number: int
    size: int


class Vector(NamedTuple):
    """A whole vector, a scalar in its lowest lane, or one lane. `bytes` are all that the name covers."""

    number: int
    lane_bytes: int
    bytes: int
    lane: int | None = None
    scalar: bool = False


class Number(NamedTuple):
    value: int


class Modifier(NamedTuple):
    """Such as "lsl #3"."""

    modify: Modify
    amount: int


class Memory(NamedTuple):
    """[base, index, modifier] or [base, #offset]; `pre` for a trailing "!"."""

    base: int
    offset_register: int = ZERO
    modify: Modify = Modify.LSL
    shift: int = 0
    offset: int = 0
    pre: bool = False


class VectorList(NamedTuple):
    """{ v0.4s, v1.4s }, with the lane of { v0.s }[1]."""

    vectors: tuple[Vector, ...]
    lane: int | None


class Word(NamedTuple):
    """A condition, a prefetch operation, a number of another kind."""

    text: str


Operand = Integer | Vector | Number | Modifier | Memory | VectorList | Word


@functools.lru_cache(maxsize=4096)
def parse(operands: str) -> tuple[Operand, ...]:
    """Every operand in order."""
    return tuple(_operand(part.strip()) for part in _SPLIT.split(operands)) if operands else ()


def _operand(text: str) -> Operand:
    if found := _register(text):
        return found
    if text.startswith("#") and (number := _number(text[1:])) is not None:
        return Number(number)
    if text.startswith("0x"):
        return Number(int(text, 16))
    if text.startswith("["):
        return _memory(text)
    if match := _LIST.match(text):
        return _list(match)
    return _other(text)


def _list(match: re.Match[str]) -> VectorList:
    names = _range(match[1])
    vectors = tuple(one for name in names if isinstance(one := _register(name), Vector))
    return VectorList(vectors, int(match[2]) if match[2] else None)


def _other(text: str) -> Operand:
    words = text.split()
    if words and words[0] in MODIFIERS:
        amount = int(words[1].lstrip("#"), 0) if len(words) > 1 else 0
        return Modifier(MODIFIERS[words[0]], amount)
    return Word(text)


def _range(text: str) -> list[str]:
    """ "v0.4s - v3.4s" is a list too."""
    if " - " not in text:
        return [one.strip() for one in text.split(",")]
    first, last = (_VECTOR.match(one.strip()) for one in text.split(" - "))
    if first is None or last is None:
        raise SimulationError(f"a list of registers that is not known: {text}")
    count = (int(last[1]) - int(first[1])) % 32 + 1
    return [f"v{(int(first[1]) + i) % 32}.{first[2]}{first[3]}" for i in range(count)]


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None  # a floating-point constant


def _register(text: str) -> Integer | Vector | None:
    if match := _INTEGER.match(text):
        if match[3]:
            return Integer(SP, 4 if match[3] == "wsp" else 8)
        number = ZERO if match[2] == "zr" else int(match[2])
        return Integer(number, 4 if match[1] == "w" else 8)
    if match := _SCALAR.match(text):
        size = SCALAR_BYTES[match[1]]
        return Vector(int(match[2]), size, size, scalar=True)
    if match := _VECTOR.match(text):
        lane = SCALAR_BYTES[match[3]]
        total = lane * int(match[2]) if match[2] else lane
        return Vector(int(match[1]), lane, total, int(match[4]) if match[4] else None)
    return None


def _memory(text: str) -> Memory:
    pre = text.endswith("!")
    parts = [part.strip() for part in text.rstrip("!")[1:-1].split(",")]
    base = _register(parts[0])
    if not isinstance(base, Integer):
        raise SimulationError(f"an address that is not known: {text}")
    rest = [_operand(part) for part in parts[1:]]
    if not rest:
        return Memory(base.number, pre=pre)
    if isinstance(rest[0], Number):
        return Memory(base.number, offset=rest[0].value, pre=pre)
    if not isinstance(rest[0], Integer):
        raise SimulationError(f"an address that is not known: {text}")
    modifier = rest[1] if len(rest) > 1 else Modifier(Modify.LSL, 0)
    if not isinstance(modifier, Modifier):
        raise SimulationError(f"an address that is not known: {text}")
    return Memory(base.number, rest[0].number, modifier.modify, modifier.amount)
