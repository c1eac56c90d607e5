# SPDX-License-Identifier: Apache-2.0
"""Symbols of an ELF object: renamed and hidden, so that several networks fit into one program.

Takes the bytes of a relocatable object of a little-endian machine, 32 or 64 bits; gives the same object
with a prefix before each global name it defines. Only the symbol table's name offsets and visibility
are written anew; the longer names go to the end of the file.
"""

import io
import struct
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from support.errors import UserError

HIDDEN = 2
# Offsets in bytes of a symbol's `st_other`, and the format of a section header up to its size.
OTHER = {32: 13, 64: 5}
NAME_OFFSET, WORD = 0, {32: "<I", 64: "<Q"}
SECTION_OFFSET, SECTION_SIZE = {32: 16, 64: 24}, {32: 20, 64: 32}


def defined(data: bytes) -> frozenset[str]:
    """Names that other objects could link to."""
    return frozenset(s.name for _, s in _globals(_elf(data)) if s["st_shndx"] != "SHN_UNDEF")


def undefined(data: bytes) -> frozenset[str]:
    """Names that other objects must provide."""
    return frozenset(s.name for _, s in _globals(_elf(data)) if s["st_shndx"] == "SHN_UNDEF")


def privatise(data: bytes, prefix: str) -> bytes:
    """The object with `prefix` before every global name it defines, and these hidden: a shared library
    does not export them. UserError when it is no object of ours.
    """
    elf = _elf(data)
    table = elf.get_section_by_name(".symtab")
    section = table["sh_link"]
    strings = bytearray(elf.get_section(section).data())
    result = bytearray(data)
    for position, symbol in _globals(elf):
        if symbol["st_shndx"] == "SHN_UNDEF":
            continue
        entry = table["sh_offset"] + position * table["sh_entsize"]
        struct.pack_into("<I", result, entry + NAME_OFFSET, len(strings))
        other = entry + OTHER[elf.elfclass]
        result[other] = (result[other] & ~3) | HIDDEN
        strings += f"{prefix}{symbol.name}\0".encode()
    _move_section(elf, result, section, bytes(strings))
    return bytes(result)


def _elf(data: bytes) -> Any:
    try:
        elf = ELFFile(io.BytesIO(data))
    except ELFError as error:
        raise UserError(f"the kernels' object is damaged ({error}); build it again") from None
    if not elf.little_endian or elf["e_type"] != "ET_REL":
        raise UserError("the kernels' object is not one of a little-endian ELF machine")
    return elf


def _globals(elf: Any) -> list[tuple[int, Any]]:
    """Global and weak symbols with their number in the table."""
    table = elf.get_section_by_name(".symtab")
    return [
        (position, symbol)
        for position, symbol in enumerate(table.iter_symbols())
        if symbol["st_info"]["bind"] in ("STB_GLOBAL", "STB_WEAK") and symbol.name
    ]


def _move_section(elf: Any, file: bytearray, number: int, content: bytes) -> None:
    """Append `content` to the file and make it the section's."""
    header = elf["e_shoff"] + number * elf["e_shentsize"]
    word = WORD[elf.elfclass]
    struct.pack_into(word, file, header + SECTION_OFFSET[elf.elfclass], len(file))
    struct.pack_into(word, file, header + SECTION_SIZE[elf.elfclass], len(content))
    file += content
