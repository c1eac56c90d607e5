# SPDX-License-Identifier: Apache-2.0
"""Is a freestanding library what its header promises? Read from the ELF file, nothing is loaded.

Takes the path of a shared library; gives the libraries it needs, or a UserError: another machine, a
library beyond libc, libm and pthread, or a name exported that is not of the prefix.
"""

import re
from pathlib import Path

from elftools.elf.elffile import ELFFile

from mnc.compile.toolchain.elf import check_library
from mnc.support.errors import UserError
from mnc.targets import Target

ALLOWED = re.compile(r"lib(c|m|pthread|dl)\.so(\.\d)?|ld-linux[a-z0-9-]*\.so\.\d|libc\.musl.*")


def check(library: Path, target: Target, *, prefix: str) -> tuple[str, ...]:
    """The libraries that `library` needs, all of them allowed."""
    needed = check_library(library, target).needed
    foreign = [name for name in needed if not ALLOWED.fullmatch(name)]
    if foreign:
        raise UserError(
            f"{library.name} needs {', '.join(foreign)} as this compiler links it, where libc, libm "
            "and pthread should do; leave --cc away"
        )
    strangers = [name for name in exported(library) if not name.startswith(f"{prefix}_")]
    if strangers:
        raise UserError(
            f"{library.name} exports {', '.join(strangers)} as this compiler links it, so that two "
            "networks could clash; leave --cc away"
        )
    return needed


def exported(library: Path) -> tuple[str, ...]:
    """The names that programs can link to."""
    with library.open("rb") as file:
        symbols = ELFFile(file).get_section_by_name(".dynsym").iter_symbols()
        return tuple(s.name for s in symbols if s.name and s["st_shndx"] != "SHN_UNDEF")
