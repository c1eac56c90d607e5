# SPDX-License-Identifier: Apache-2.0
"""What a shared library is, read from its ELF header, and whether a target's system can load it.

Takes a file and a `Target`; gives a `Library`, or a UserError that says what to install or change. Nothing
of the file is run.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import ARMAttributesSection

from mnc.support.errors import UserError
from mnc.targets import Target

ELF_ARCHITECTURES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_ARM": "arm"}
LARGEST_PAGE = 16 << 10  # of the aarch64 systems that programs meet: Raspberry Pi 5, Asahi, Android
HARD_FLOAT_FLAG = 0x400  # EF_ARM_ABI_FLOAT_HARD, ELF for the Arm Architecture
HARD_FLOAT_ARGS = 1  # Tag_ABI_VFP_args: floating point arguments in VFP registers
# What a C library and our own runtime bring. A kernel that needs more was linked by the wrong compiler.
GLIBC_LIBRARIES = re.compile(
    r"(lib(c|m)\.so\.6|lib(dl\.so\.2|pthread\.so\.0|rt\.so\.1)|libgcc_s\.so\.1"
    r"|ld-linux[a-z0-9-]*\.so\.\d|libtvm_runtime\.so)"
)
OTHER_LIBRARIES = re.compile(r"(lib(c|m|dl)\.so|libc\.musl-[a-z0-9_]+\.so\.1|libtvm_runtime\.so)")
PACKAGES = {
    "aarch64": ("gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc"),
    "arm": ("gcc-arm-linux-gnueabihf", "arm-linux-gnueabihf-gcc"),
    "x86_64": ("gcc-x86-64-linux-gnu", "x86_64-linux-gnu-gcc"),
}


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A shared library's header. `glibc` is the newest symbol version it needs, None when none is named;
    `alignment` is the largest page in bytes of a system that can map it; `hard_float` is None except on
    32-bit ARM.
    """

    arch: str
    bits: int
    needed: tuple[str, ...]
    glibc: tuple[int, int] | None
    alignment: int
    hard_float: bool | None = None


def read_library(path: Path) -> Library:
    """The header of the shared library at `path`; UserError when it is none."""
    try:
        with path.open("rb") as file:
            return _read(ELFFile(file), path)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from None
    except Exception as error:  # a damaged header makes pyelftools fail in any way
        raise UserError(f"{path} is no shared library ({error}); build it again") from None


def check_library(path: Path, target: Target) -> Library:
    """The header of `path`; UserError unless a system that `target` describes can load it.

    Checked: machine, class, float ABI (32-bit ARM), needed libraries, newest glibc symbol.
    """
    library = read_library(path)
    for problem in _problems(library, target):
        raise UserError(f"{path.name} cannot run on {target.name}: {problem}")
    return library


def how_to_link(target: Target) -> str:
    """Which compiler links for `target`, for the end of an error message."""
    if "android" in target.triple:
        return "pass the NDK's compiler as --cc (.../bin/aarch64-linux-android24-clang)"
    package, command = PACKAGES[target.arch]
    return f"leave --cc out to link with zig, or install {package} and pass --cc {command}"


def _problems(library: Library, target: Target) -> Iterator[str]:
    bits = 32 if target.arch == "arm" else 64
    if (library.arch, library.bits) != (target.arch, bits):
        found = f"{library.arch} ({library.bits} bits)"
        yield f"it is for {found}, not {target.arch} ({bits} bits); {how_to_link(target)}"
    if target.arch == "arm" and library.hard_float != target.triple.endswith("hf"):
        wanted, found = ("hard", "soft") if target.triple.endswith("hf") else ("soft", "hard")
        yield f"it has the {found}-float ABI, not {wanted}-float; {how_to_link(target)}"
    glibc_based = "-gnu" in target.triple
    allowed = GLIBC_LIBRARIES if glibc_based else OTHER_LIBRARIES
    foreign = [name for name in library.needed if not allowed.fullmatch(name)]
    if foreign:
        yield f"it needs {', '.join(foreign)}, which {target.triple} lacks; {how_to_link(target)}"
    if target.arch == "aarch64" and library.alignment < LARGEST_PAGE:
        yield (
            f"its segments are aligned to {library.alignment} bytes and pages may have {LARGEST_PAGE}; "
            f"link it with -Wl,-z,max-page-size={LARGEST_PAGE}"
        )
    if library.glibc is None:
        return
    needed = ".".join(map(str, library.glibc))
    if not glibc_based:
        yield f"it needs glibc {needed} and {target.triple} has another C library; {how_to_link(target)}"
    elif target.glibc is not None and library.glibc > _version(target.glibc):
        yield (
            f"it needs glibc {needed}, its system promises {target.glibc}; leave --cc out to link with "
            f'zig, or set glibc = "{needed}" in the target\'s file if the device has it'
        )


def _read(elf: Any, path: Path) -> Library:
    header = elf.header
    if header["e_type"] != "ET_DYN":
        raise UserError(f"{path} is an ELF file but no shared library; link it with -shared")
    arch = ELF_ARCHITECTURES.get(header["e_machine"], str(header["e_machine"]))
    return Library(
        arch=arch if elf.little_endian else f"big-endian {arch}",
        bits=int(elf.elfclass),
        needed=_needed(elf),
        glibc=_newest_glibc(elf),
        alignment=min((s["p_align"] for s in elf.iter_segments("PT_LOAD")), default=0),
        hard_float=_hard_float(elf) if arch == "arm" else None,
    )


def _needed(elf: Any) -> tuple[str, ...]:
    dynamic = [part for part in elf.iter_sections() if isinstance(part, DynamicSection)]
    tags = [tag for part in dynamic for tag in part.iter_tags("DT_NEEDED")]
    return tuple(str(tag.needed) for tag in tags)


def _newest_glibc(elf: Any) -> tuple[int, int] | None:
    tables = [part for part in elf.iter_sections() if isinstance(part, GNUVerNeedSection)]
    names = [aux.name for part in tables for _, auxes in part.iter_versions() for aux in auxes]
    found = [re.match(r"GLIBC_(\d+\.\d+)", name) for name in names]
    return max((_version(match[1]) for match in found if match), default=None)


def _hard_float(elf: Any) -> bool:
    """By the header's flag, which GNU ld sets, or by the build attributes."""
    if elf.header["e_flags"] & HARD_FLOAT_FLAG:
        return True
    for part in elf.iter_sections():
        if isinstance(part, ARMAttributesSection):
            values = [a.value for s in part.subsections for u in s.subsubsections
                      for a in u.iter_attributes("TAG_ABI_VFP_ARGS")]  # fmt: skip
            return HARD_FLOAT_ARGS in values
    return False


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
