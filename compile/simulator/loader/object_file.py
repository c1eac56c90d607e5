# SPDX-License-Identifier: Apache-2.0
"""An object file or shared library: sections, symbols and relocations, read in one go.

Takes ELF bytes (32 or 64 bits, little endian); gives an `ObjectFile`. A tenth of a general reader's time,
which counts when a thousand candidates are priced.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from mnc.compile.simulator.isa.errors import SimulationError

MACHINES = {62: "x86_64", 183: "aarch64", 40: "arm"}
RELOCATABLE, SHARED = 1, 3
PROGBITS, SYMTAB, RELA, NOBITS, REL, DYNSYM = 1, 2, 4, 8, 9, 11
ALLOC, EXECUTABLE = 2, 4
FUNCTION, SECTION = 2, 3
UNDEFINED, FIRST_RESERVED = 0, 0xFF00


class Section(NamedTuple):
    """`size` counts in memory; `data` is empty where the file holds nothing of it (zeros)."""

    name: str
    kind: int
    flags: int
    address: int
    data: bytes
    size: int
    link: int
    info: int
    align: int

    @property
    def allocated(self) -> bool:
        return bool(self.flags & ALLOC)

    @property
    def executable(self) -> bool:
        return bool(self.flags & EXECUTABLE)


class Symbol(NamedTuple):
    """`value` counts from its section in an object, from the image's start in a library."""

    name: str
    value: int
    size: int
    kind: int
    section: int


class Relocation(NamedTuple):
    """`addend` None: it is in the place that is relocated."""

    section: int
    offset: int
    kind: int
    symbol: int
    addend: int | None


class ObjectFile(NamedTuple):
    """`relocations` are those of sections that are in memory; of a library, `section` is 0 there."""

    arch: str
    bits: int
    relocatable: bool
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]


def read(data: bytes) -> ObjectFile:
    """SimulationError when it is no ELF object or library of an architecture that is simulated."""
    try:
        return _read(data)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise SimulationError(f"not an object file that can be read: {error}") from error


def _read(data: bytes) -> ObjectFile:
    if data[:4] != b"\x7fELF" or data[5] != 1:
        raise SimulationError("not an object file: no little-endian ELF header")
    kind, machine = struct.unpack_from("<HH", data, 16)
    wide = data[4] == 2
    if machine not in MACHINES or kind not in (RELOCATABLE, SHARED):
        raise SimulationError(f"ELF type {kind} for machine {machine} cannot be simulated")
    sections = _sections(data, wide=wide)
    table = _symbol_table(sections, relocatable=kind == RELOCATABLE)
    symbols = tuple(_symbols(sections, table, wide=wide))
    relocations = tuple(_relocations(sections, table, wide=wide, relocatable=kind == RELOCATABLE))
    return ObjectFile(
        MACHINES[machine], 64 if wide else 32, kind == RELOCATABLE, sections, symbols, relocations
    )


def _sections(data: bytes, *, wide: bool) -> tuple[Section, ...]:
    start = struct.unpack_from("<Q" if wide else "<I", data, 40 if wide else 32)[0]
    size, count, names_at = struct.unpack_from("<HHH", data, 58 if wide else 46)
    layout = struct.Struct("<IIQQQQIIQQ" if wide else "<IIIIIIIIII")
    headers = [layout.unpack_from(data, start + size * i) for i in range(count)]
    names = _contents(data, headers[names_at])
    return tuple(_section(data, names, header) for header in headers)


def _section(data: bytes, names: bytes, header: tuple[int, ...]) -> Section:
    name, kind, flags, address, _, size, link, info, align, _ = header
    contents = _contents(data, header)
    return Section(
        _text(names, name), kind, flags, address, contents, size, link, info, max(align, 1)
    )


def _contents(data: bytes, header: tuple[int, ...]) -> bytes:
    return b"" if header[1] == NOBITS else data[header[4] : header[4] + header[5]]


def _text(names: bytes, offset: int) -> str:
    return names[offset : names.index(b"\0", offset)].decode()


def _symbol_table(sections: tuple[Section, ...], *, relocatable: bool) -> int:
    wanted = SYMTAB if relocatable else DYNSYM
    return next((i for i, one in enumerate(sections) if one.kind == wanted), 0)


def _symbols(sections: tuple[Section, ...], table: int, *, wide: bool) -> Iterator[Symbol]:
    names = sections[sections[table].link].data
    layout = struct.Struct("<IBBHQQ" if wide else "<IIIBBH")
    for fields in layout.iter_unpack(sections[table].data):
        if wide:
            name, info, _, section, value, size = fields
        else:
            name, value, size, info, _, section = fields
        yield Symbol(_text(names, name), value, size, info & 15, section)


def _relocations(
    sections: tuple[Section, ...], table: int, *, wide: bool, relocatable: bool
) -> Iterator[Relocation]:
    for one in sections:
        if one.kind not in (REL, RELA) or one.link != table:
            continue
        if relocatable and not _is_loaded(sections[one.info]):
            continue
        letters = "QQq" if wide else "IIi"
        layout = struct.Struct("<" + letters[: 3 if one.kind == RELA else 2])
        for offset, info, *addend in layout.iter_unpack(one.data):
            kind, symbol = (info & 0xFFFFFFFF, info >> 32) if wide else (info & 255, info >> 8)
            place = one.info if relocatable else 0
            yield Relocation(place, offset, kind, symbol, addend[0] if addend else None)


def _is_loaded(section: Section) -> bool:
    unwinding = section.name.startswith((".eh_frame", ".ARM.ex"))
    return section.allocated and not unwinding
