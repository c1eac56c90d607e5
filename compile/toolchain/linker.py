# SPDX-License-Identifier: Apache-2.0
"""Links compiled networks and kernels into shared libraries, for this machine or across to another.

Takes TVM modules and a `Target`; gives files checked against it (`elf`). The linker is the system's
for this very machine, whose C library it links with, the one that pip installs (ziglang) for any other, or
one that is named.
"""

import functools
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mnc.compile.toolchain.cpu_features import machine_arch
from mnc.compile.toolchain.elf import Library, check_library, how_to_link
from mnc.compile.toolchain.zig import run, zig
from mnc.support.errors import UserError
from mnc.support.files import writing
from mnc.targets import Target, is_this_machine
from mnc.targets.target import ARCHITECTURES

__all__ = [
    "Compiler",
    "Linked",
    "architecture",
    "check_library",
    "compiler_for",
    "link_library",
    "link_object",
]

SYSTEM_COMPILERS = ("cc", "gcc", "clang")
# Segments that a kernel with pages of 16 or 64 KiB can map as well.
PAGES = {"aarch64": ("-z", "max-page-size=65536")}
EMULATIONS = {"aarch64": "aarch64linux", "arm": "armelf_linux_eabi", "x86_64": "elf_x86_64"}


class Compiler(msgspec.Struct, frozen=True):
    """A compiler driver that links: its command, and a name for people."""

    command: tuple[str, ...]
    name: str


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """A linked library: where it is, what linked it, what its header says, seconds it took."""

    path: Path
    compiler: str
    library: Library
    seconds: float


def link_library(module: Any, path: Path, target: Target, *, cc: str | None = None) -> Linked:
    """Export a TVM module (or executor factory) as the shared library `path` and check it.

    `cc` names another compiler, with options if need be. UserError when it is missing or fails, or when
    what it made is not for `target`; then nothing is left at `path`.
    """
    compiler = compiler_for(target, cc=cc)
    started = time.monotonic()
    unchecked = path.with_name(f".{path.name}.unchecked.so")
    try:
        with writing(path):
            module.export_library(str(unchecked), fcompile=_Export(compiler, target))
        library = check_library(unchecked, target)
        unchecked.replace(path)
    finally:
        unchecked.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    return Linked(path=path, compiler=compiler.name, library=library, seconds=seconds)


def link_object(source: Path, path: Path, arch: str) -> None:
    """Link one object file of a kernel, straight through zig's linker: it takes a tenth of `link_library`'s
    time. The C library's symbols stay open, for the loading process to fill.
    """
    command = [*zig("ld.lld"), "-m", EMULATIONS[arch], "-shared", *PAGES.get(arch, ())]
    command += ["-o", str(path), str(source)]
    run(
        command,
        failed=f"zig's linker failed to link for {arch}",
        remedy="install ziglang again (`make setup`)",
    )


def architecture(tvm_target: str) -> str:
    """ "x86_64", "aarch64" or "arm": what code for a TVM target string runs on; the host's by default."""
    match = re.search(r"-mtriple=(\w+?)-", tvm_target)
    if match is None:
        return machine_arch()
    first = match[1]
    return ARCHITECTURES.get(first, "arm" if first.startswith("arm") else first)


def compiler_for(target: Target, *, cc: str | None = None) -> Compiler:
    """The compiler that links for `target`; UserError when it is not there."""
    if cc is not None:
        return _named(cc, target)
    if is_this_machine(target) and (system := _system_compiler()) is not None:
        return Compiler((system,), Path(system).name)
    return zig_compiler(target)


def _named(cc: str, target: Target) -> Compiler:
    words = shlex.split(cc)
    if not words or shutil.which(words[0]) is None:
        raise UserError(f"compiler {cc!r} was not found; {how_to_link(target)}")
    return Compiler(tuple(words), cc)


def _system_compiler() -> str | None:
    found = (path for name in SYSTEM_COMPILERS if (path := shutil.which(name)))
    return next((path for path in found if _can_link(path)), None)


@functools.lru_cache
def _can_link(compiler: str) -> bool:
    """Whether it makes a shared library: Debian's gcc comes without libc6-dev when nobody asks for it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "-shared", "-x", "c", "-o", f"{folder}/a.so", os.devnull]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode == 0


def page_flags(arch: str) -> tuple[str, ...]:
    """What a compiler driver tells its linker of the pages that a system of `arch` may have."""
    return (f"-Wl,{','.join(PAGES[arch])}",) if arch in PAGES else ()


def zig_compiler(target: Target) -> Compiler:
    triple = _zig_triple(target)
    return Compiler((*zig("cc"), "-target", triple), f"zig cc -target {triple}")


def _zig_triple(target: Target) -> str:
    """The target in zig's words: no vendor, no sub-architecture, the glibc version at the end."""
    abi = target.triple.rsplit("-", 1)[-1]
    if not abi.startswith(("gnu", "musl")):
        raise UserError(f"zig has no C library for {target.triple}; {how_to_link(target)}")
    version = f".{target.glibc}" if target.glibc is not None else ""
    return f"{target.arch}-linux-{abi}{version}"


class _Export:
    """What `export_library` calls with the object files; TVM asks it for the attributes too."""

    output_format = "so"
    object_format = "o"

    def __init__(self, compiler: Compiler, target: Target) -> None:
        self._compiler, self._target = compiler, target

    def __call__(self, output: str, objects: Sequence[str], options: Any = None) -> None:
        # Functions such as expf are libm's; --as-needed leaves it out when none is called.
        flags = [
            "-shared",
            "-fPIC",
            *page_flags(self._target.arch),
            "-o",
            output,
            *objects,
            *(options or []),
        ]
        command = [*self._compiler.command, *flags, "-Wl,--as-needed,--strip-debug", "-lm"]
        failed = f"{self._compiler.name} failed to link for {self._target.name}"
        run(command, failed=failed, remedy=how_to_link(self._target))

    def get_target_triple(self) -> str:
        """For modules that do not say their own."""
        return self._target.triple
