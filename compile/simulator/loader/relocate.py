# SPDX-License-Identifier: Apache-2.0
"""What a linker does to a place in code or data once addresses are known, for the three architectures.

Takes an image, the place and the symbol's address; changes the bytes. ELF for the ARM 64-bit and 32-bit
architectures (IHI 0056, IHI 0044) and the x86-64 psABI name the kinds.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from mnc.compile.simulator.isa.errors import SimulationError

MASK32 = 0xFFFFFFFF
ADR_PAGE, ADD_LO12, GOT_PAGE, GOT_LO12 = 275, 277, 311, 312
LOAD_STORE_SHIFT = {278: 0, 284: 1, 285: 2, 286: 3, 299: 4, GOT_LO12: 3}
NEEDS_GOT = {
    "aarch64": {GOT_PAGE, GOT_LO12},
    "x86_64": {9, 41, 42},
    "arm": {26, 96},
}


class Place(NamedTuple):
    """`memory[at]` is at `address`; the symbol is at `symbol`, its entry of the offset table at `got`,
    the table itself at `table`. `addend` None: read it from the place.
    """

    memory: memoryview
    at: int
    address: int
    symbol: int
    got: int
    table: int
    addend: int | None


def apply(arch: str, kind: int, place: Place) -> None:
    """SimulationError for a kind that is not known."""
    KINDS[arch](kind, place)


def _word(place: Place) -> int:
    return int(struct.unpack_from("<I", place.memory, place.at)[0])


def _put(place: Place, value: int, form: str = "<I") -> None:
    mask = (1 << 8 * struct.calcsize(form)) - 1
    struct.pack_into(form, place.memory, place.at, value & mask)


def _unknown(arch: str, kind: int) -> SimulationError:
    return SimulationError(f"relocation {kind} of {arch} is not known; report it")


def _aarch64(kind: int, place: Place) -> None:
    addend = place.addend or 0
    value = (place.got if kind in NEEDS_GOT["aarch64"] else place.symbol) + addend
    if kind in (257, 1025, 1026, 1027):  # ABS64, GLOB_DAT, JUMP_SLOT, RELATIVE
        _put(place, value, "<Q")
    elif kind == 258:  # ABS32
        _put(place, value)
    elif kind == 260:  # PREL64
        _put(place, value - place.address, "<Q")
    elif kind == 261:  # PREL32
        _put(place, value - place.address)
    elif kind in (ADR_PAGE, GOT_PAGE):
        pages = (value >> 12) - (place.address >> 12)
        field = (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
        _put(place, (_word(place) & ~0x60FFFFE0) | field)
    elif kind == ADD_LO12:
        _put(place, _word(place) | (value & 0xFFF) << 10)
    elif kind in LOAD_STORE_SHIFT:
        _put(place, _word(place) | (value & 0xFFF) >> LOAD_STORE_SHIFT[kind] << 10)
    elif kind in (282, 283):  # JUMP26, CALL26
        _put(place, (_word(place) & 0xFC000000) | (value - place.address >> 2 & 0x3FFFFFF))
    elif kind == 280:  # CONDBR19
        _put(place, _word(place) | (value - place.address >> 2 & 0x7FFFF) << 5)
    else:
        raise _unknown("aarch64", kind)


def _x86(kind: int, place: Place) -> None:
    addend = place.addend or 0
    value = (place.got if kind in NEEDS_GOT["x86_64"] else place.symbol) + addend
    if kind in (1, 6, 7, 8):  # 64, GLOB_DAT, JUMP_SLOT, RELATIVE
        _put(place, value, "<Q")
    elif kind in (2, 4, 9, 41, 42):  # PC32, PLT32, GOTPCREL and its relaxable forms
        _put(place, value - place.address)
    elif kind in (10, 11):  # 32, 32S
        _put(place, value)
    elif kind == 24:  # PC64
        _put(place, value - place.address, "<Q")
    else:
        raise _unknown("x86_64", kind)


def _arm(kind: int, place: Place) -> None:
    word = _word(place)
    if kind in (28, 29):  # CALL, JUMP24
        inside = (word & 0x7FFFFF) - (word & 0x800000) << 2
        value = place.symbol + (inside if place.addend is None else place.addend) - place.address
        _put(place, (word & 0xFF000000) | (value >> 2 & 0xFFFFFF))
        return
    if kind in (43, 44, 45, 46):  # MOVW_ABS_NC, MOVT_ABS, MOVW_PREL_NC, MOVT_PREL
        half = (word >> 4 & 0xF000) | (word & 0xFFF)
        inside = half - ((half & 0x8000) << 1)
        value = place.symbol + (inside if place.addend is None else place.addend)
        value -= place.address if kind in (45, 46) else 0
        value = value >> 16 if kind in (44, 46) else value
        _put(place, (word & 0xFFF0F000) | (value & 0xF000) << 4 | (value & 0xFFF))
        return
    addend = word - ((word & 0x80000000) << 1) if place.addend is None else place.addend
    values = {
        2: place.symbol,  # ABS32
        3: place.symbol - place.address,  # REL32
        21: place.symbol,  # GLOB_DAT
        22: place.symbol,  # JUMP_SLOT
        23: place.symbol,  # RELATIVE
        24: place.symbol - place.table,  # GOTOFF32
        25: place.table - place.address,  # BASE_PREL
        26: place.got - place.table,  # GOT_BREL
        96: place.got - place.address,  # GOT_PREL
    }
    if kind not in values:
        raise _unknown("arm", kind)
    _put(place, values[kind] + (0 if kind in (21, 22) else addend))


KINDS: dict[str, Callable[[int, Place], None]] = {
    "aarch64": _aarch64,
    "x86_64": _x86,
    "arm": _arm,
}
