# SPDX-License-Identifier: Apache-2.0
"""Symbols of an ELF object: renamed and hidden, so that several networks fit into one program.

Takes the bytes of a relocatable object of a little-endian machine, 32 or 64 bits; gives the same object
with a prefix before each global name it defines. Only the symbol table's name offsets and visibility
are written anew; the longer names go to the end of the file.
"""

import contextlib
import io
import struct
from collections.abc import Iterator
from typing import Any

from elftools.elf.elffile import ELFFile

from mnc.support import error_text
from mnc.support.errors import UserError

HIDDEN = 2
# Offsets in bytes of a symbol's `st_other`, and the format of a section header up to its size.
OTHER = {32: 13, 64: 5}
NAME_OFFSET, WORD = 0, {32: "<I", 64: "<Q"}
SECTION_OFFSET, SECTION_SIZE = {32: 16, 64: 24}, {32: 20, 64: 32}


def defined(data: bytes) -> frozenset[str]:
    """Names that other objects could link to. UserError when it is no object of ours."""
    return _names(data)[0]


def undefined(data: bytes) -> frozenset[str]:
    """Names that other objects must provide. UserError when it is no object of ours."""
    return _names(data)[1]


def privatise(data: bytes, prefix: str) -> bytes:
    """The object with `prefix` before every global name it defines, and these hidden: a shared library
    does not export them. UserError when it is no object of ours.
    """
    with _reading():
        return _privatise(_elf(data), bytearray(data), prefix)


def _privatise(elf: Any, file: bytearray, prefix: str) -> bytes:
    table = elf.get_section_by_name(".symtab")
    section = table["sh_link"]
    strings = bytearray(elf.get_section(section).data())
    for position, symbol in _globals(elf):
        if symbol["st_shndx"] == "SHN_UNDEF":
            continue
        entry = table["sh_offset"] + position * table["sh_entsize"]
        struct.pack_into("<I", file, entry + NAME_OFFSET, len(strings))
        other = entry + OTHER[elf.elfclass]
        file[other] = (file[other] & ~3) | HIDDEN
        strings += f"{prefix}{symbol.name}\0".encode()
    _move_section(elf, file, section, bytes(strings))
    return bytes(file)


def _names(data: bytes) -> tuple[frozenset[str], frozenset[str]]:
    with _reading():
        symbols = [symbol for _, symbol in _globals(_elf(data))]
    missing = frozenset(s.name for s in symbols if s["st_shndx"] == "SHN_UNDEF")
    return frozenset(s.name for s in symbols) - missing, missing


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # damage makes pyelftools fail in any way
        reason = error_text.of_exception(error)
        raise UserError(f"the kernels' object is damaged ({reason}); build it again") from None


def _elf(data: bytes) -> Any:
    elf = ELFFile(io.BytesIO(data))
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
