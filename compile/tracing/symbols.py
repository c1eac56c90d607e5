# SPDX-License-Identifier: Apache-2.0
"""Names of functions in AArch64 files, and where in the file their code begins.

Takes paths of programs and shared libraries; gives offsets and names.
"""

import bisect
import functools
from pathlib import Path
from typing import NamedTuple

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from mnc.compile.tracing.emulator import Function
from mnc.support.errors import UserError


class Symbol(NamedTuple):
    """A function, where its code begins in the file, and its size in bytes (0: not told)."""

    offset: int
    size: int
    name: str


def function(path: Path, name: str, *, call: int) -> Function:
    """Call `call`, from 1 on, of the function called `name`; UserError when the file has none."""
    named = [one for one in functions(path) if one.name == name]
    if not named:
        near = sorted({one.name for one in functions(path) if name in one.name})[:5]
        hint = f"; like it: {', '.join(near)}" if near else "; `nm -D` lists a library's"
        raise UserError(f"{path} has no function {name!r}{hint}")
    return Function(path.resolve(), named[0].offset, call)


def name_at(path: Path, offset: int) -> tuple[str, int]:
    """The function that the code at `offset` in the file is of, and how far into it; "" where none is
    known.
    """
    try:
        known = functions(path)
    except UserError:
        return "", 0
    k = bisect.bisect_right(known, (offset, 1 << 62, "")) - 1
    if k < 0 or (known[k].size and offset >= known[k].offset + known[k].size):
        return "", 0
    return known[k].name, offset - known[k].offset


@functools.lru_cache(maxsize=64)
def functions(path: Path) -> tuple[Symbol, ...]:
    """All that the file's symbol tables name, in the order of their places."""
    try:
        with path.open("rb") as file:
            return tuple(sorted(set(_functions(ELFFile(file), path))))
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give a path of this machine"
        ) from None
    except UserError:
        raise
    except Exception as error:  # a damaged header makes pyelftools fail in any way
        raise UserError(f"{path} is no program or library for Linux ({error})") from error


def _functions(elf: ELFFile, path: Path) -> list[Symbol]:
    if elf["e_machine"] != "EM_AARCH64":
        raise UserError(
            f"{path} is for {elf.get_machine_arch()}; only AArch64 programs can be traced"
        )
    loaded = [one.header for one in elf.iter_segments("PT_LOAD")]
    found = []
    for table in elf.iter_sections():
        if not isinstance(table, SymbolTableSection):
            continue
        for symbol in table.iter_symbols():
            value = symbol["st_value"]
            if symbol["st_info"]["type"] != "STT_FUNC" or not value:
                continue
            for part in loaded:
                if part["p_vaddr"] <= value < part["p_vaddr"] + part["p_filesz"]:
                    offset = value - part["p_vaddr"] + part["p_offset"]
                    found.append(Symbol(offset, symbol["st_size"], symbol.name))
    return found
