# SPDX-License-Identifier: Apache-2.0
"""Operands and mnemonics of 32-bit ARM instructions: text to registers, memory, lists, and what a name says.

Takes the text of a `Line`; gives `Name` (stem, condition, whether flags are set, data type) and operands.
Integer registers are 0-15. Vector registers are numbered by the quadword they lie in, for d and s registers
alias it: d3 is the upper half of q1.
"""

import functools
import re
from dataclasses import dataclass

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FIRST_VECTOR
from mnc.compile.simulator.isa.micro_ops import Condition

SP, LR, PC = 13, 14, 15
_ALIASES = {"sp": SP, "lr": LR, "pc": PC, "r13": SP, "r14": LR, "r15": PC, "r12": 12}
REGISTERS = {f"r{i}": i for i in range(13)} | _ALIASES
CONDITIONS = {
    "eq": Condition.EQ,
    "ne": Condition.NE,
    **dict.fromkeys(("hs", "cs"), Condition.CS),
    **dict.fromkeys(("lo", "cc"), Condition.CC),
    "mi": Condition.MI,
    "pl": Condition.PL,
    "vs": Condition.VS,
    "vc": Condition.VC,
    "hi": Condition.HI,
    "ls": Condition.LS,
    "ge": Condition.GE,
    "lt": Condition.LT,
    "gt": Condition.GT,
    "le": Condition.LE,
    "": Condition.AL,
}
_SETTING = "mov mvn add sub rsb adc sbc rsc and orr eor bic lsl lsr asr ror rrx mul mla".split()
_LOADS = "ldr ldrb ldrh ldrsb ldrsh ldrd str strb strh strd push pop".split()
_MULTIPLE = [f"{word}{how}" for word in ("ldm", "stm") for how in ("", "ia", "ib", "da", "db")]
_OTHERS = (
    "cmp cmn tst teq movw movt mls umull smull umlal smlal smmul smmla smmls smulbb smlabb udiv sdiv "
    "smultt smulbt smultb smlatt smlabt smlatb smulwb smulwt "
    "uxtb uxth sxtb sxth uxtab uxtah sxtab sxtah ubfx sbfx bfi bfc clz rbit rev rev16 "
    "b bl blx bx nop pld pldw dmb dsb isb udf trap bkpt hint yield"
).split()
_STEMS = frozenset([*_SETTING, *_LOADS, *_MULTIPLE, *_OTHERS])
_CONDITION = "|".join(name for name in CONDITIONS if name)
_VECTOR = re.compile(rf"(v\w+?)({_CONDITION})?((?:\.\w+)*)$")
_ENDS_LIKE_CONDITION = frozenset(
    "vmls vfms vfnms vnmls vcle vclt vcge vcgt vabs vqabs vcls".split()
)
_VECTOR_REGISTER = re.compile(r"([sdq])(\d+)(?:\[(\d*)\])?$")
_BYTES = {"s": 4, "d": 8, "q": 16}
_SHIFT = re.compile(r"(lsl|lsr|asr|ror) (#?)(\w+)$")
_FLOAT = re.compile(r"#-?\d+\.\d+(?:e[+-]\d+)?$")
_NUMBER = re.compile(r"(?:#|(?=0x))(-?(?:0x[0-9a-f]+|\d+))$")


@dataclass(frozen=True)
class Name:
    """`stem` without condition, flags and type; `kind` such as ".f32"."""

    stem: str
    condition: Condition = Condition.AL
    sets_flags: bool = False
    kind: str = ""


@dataclass(frozen=True)
class Integer:
    number: int


@dataclass(frozen=True)
class Shifted:
    """A register, shifted by a constant or (`by_register`) by another register."""

    number: int
    kind: str
    by: int
    by_register: bool = False


@dataclass(frozen=True)
class Constant:
    value: int


@dataclass(frozen=True)
class Vector:
    """`size` bytes of quadword `number`, from byte `offset` on. `lane` of it; -1: all lanes, one value."""

    number: int
    size: int
    offset: int = 0
    lane: int | None = None

    @property
    def timed(self) -> int:
        return self.number + FIRST_VECTOR


@dataclass(frozen=True)
class Memory:
    """[base + index + offset]. `writeback`: the address goes to base."""

    base: int
    offset: int = 0
    index: Integer | Shifted | None = None
    negative: bool = False
    writeback: bool = False


@dataclass(frozen=True)
class List:
    """Registers in braces."""

    all: tuple[Integer | Vector, ...]


Operand = Integer | Shifted | Constant | Vector | Memory | List


@functools.lru_cache(maxsize=4096)
def name_of(mnemonic: str) -> Name:
    """What a mnemonic says; SimulationError when it is unknown."""
    if mnemonic.startswith("v"):
        return _vector_name(mnemonic)
    bare = mnemonic.split(".", maxsplit=1)[0]
    if bare in _STEMS:
        return Name(bare)
    for stem in sorted(_STEMS, key=len, reverse=True):
        rest = bare.removeprefix(stem)
        if rest == bare:
            continue
        sets = stem in _SETTING and rest.startswith("s") and rest[1:] in CONDITIONS
        if rest in CONDITIONS or sets:
            return Name(stem, CONDITIONS[rest[1:] if sets else rest], sets)
    raise SimulationError(f"mnemonic {mnemonic}")


def _vector_name(mnemonic: str) -> Name:
    bare, _, kind = mnemonic.partition(".")
    kind = f".{kind}" if kind else ""
    if bare in _ENDS_LIKE_CONDITION:
        return Name(bare, kind=kind)
    match = _VECTOR.match(mnemonic)
    if match is None:
        raise SimulationError(f"mnemonic {mnemonic}")
    return Name(match[1], CONDITIONS[match[2] or ""], kind=match[3])


@functools.lru_cache(maxsize=1 << 16)
def parse(text: str) -> tuple[Operand, ...]:
    """Operands; an address that is followed by ! or by an increment has that as an operand of its own."""
    operands: list[Operand] = []
    for part in _split(text):
        last = operands[-1] if operands else None
        if (shift := _SHIFT.match(part)) and isinstance(last, Integer):
            operands[-1] = _shifted(last, shift)
        else:
            operands.append(_operand(part))
    return tuple(operands)


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts


def _operand(text: str) -> Operand:
    if text.startswith("["):
        return _memory(text)
    if text.startswith("{"):
        inside = (_operand(part) for part in _split(text.strip("{} ")))
        return List(tuple(one for one in inside if isinstance(one, Integer | Vector)))
    if match := _NUMBER.match(text):
        return Constant(int(match[1], 0))
    if _FLOAT.match(text):
        return Constant(0)  # no cost depends on a float's value
    if text.rstrip("!") in REGISTERS:
        return Integer(REGISTERS[text.rstrip("!")])
    if match := _VECTOR_REGISTER.match(text):
        return _vector(match)
    raise SimulationError(f"operand {text!r}")


def _vector(match: re.Match[str]) -> Vector:
    size, index = _BYTES[match[1]], int(match[2])
    lane = None if match[3] is None else int(match[3] or -1)
    each = 16 // size
    return Vector(index // each, size, index % each * size, lane)


def _shifted(register: Integer, match: re.Match[str]) -> Shifted:
    if match[2]:
        return Shifted(register.number, match[1], int(match[3], 0))
    return Shifted(register.number, match[1], REGISTERS[match[3]], by_register=True)


def _memory(text: str) -> Memory:
    inside = text.rstrip("!").strip("[] ")
    base, *rest = _split(inside)
    base = base.split(":", maxsplit=1)[0]
    number, writeback = REGISTERS[base], text.endswith("!")
    rest = [part for part in rest if not part.startswith(":")]
    if not rest:
        return Memory(number, writeback=writeback)
    if match := _NUMBER.match(rest[0]):
        return Memory(number, int(match[1], 0), writeback=writeback)
    negative = rest[0].startswith("-")
    index = Integer(REGISTERS[rest[0].lstrip("-")])
    if len(rest) > 1 and (shift := _SHIFT.match(rest[1])):
        return Memory(number, 0, _shifted(index, shift), negative, writeback)
    return Memory(number, 0, index, negative, writeback)
