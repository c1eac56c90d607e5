# SPDX-License-Identifier: Apache-2.0
"""A C compiler for the target that compiles, links and archives.

Takes a `Target`; gives a `Toolchain`. ziglang's compiler serves every target, this machine's too: it links
for the oldest glibc the target promises, which the system's own would not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mnc.compile.toolchain import linker
from mnc.compile.toolchain.zig import run, zig
from mnc.targets import Target

FLAGS = ("-O2", "-fPIC", "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")
# zig writes debug information unless told not to, with this machine's paths in it.
NO_DEBUG = "-g0"
# Atomics as instructions: the helper functions for the newer ones are not in every C library.
AARCH64_FLAGS = ("-mno-outline-atomics",)
ARM_FLAGS = ("-mcpu=cortex_a7",)


@dataclass(frozen=True)
class Toolchain:
    """`compiler` takes gcc's options, `archiver` those of `ar`; `flags` are the target's, `pages` are for its
    linker.
    """

    compiler: tuple[str, ...]
    archiver: tuple[str, ...]
    flags: tuple[str, ...]
    pages: tuple[str, ...]

    def compile(self, source: Path, target: Path, *, include: Sequence[Path] = ()) -> None:
        """A C or assembler file to an object."""
        folders = [f"-I{folder}" for folder in include]
        flags = (NO_DEBUG,) if source.suffix == ".s" else (NO_DEBUG, *FLAGS)
        self._run(
            [*self.compiler, *self.flags, *flags, *folders, "-c", str(source), "-o", str(target)]
        )

    def share(self, objects: Sequence[Path], target: Path) -> None:
        """Objects to a shared library. UserError for a symbol that they, libc, libm and pthread lack."""
        options = ["-shared", "-Wl,--as-needed", "-Wl,-z,defs", "-Wl,-s", "-Wl,-z,noexecstack"]
        options += self.pages
        options += [f"-Wl,-soname,{target.name}", "-o", str(target)]
        names = [str(one) for one in objects]
        self._run([*self.compiler, *self.flags, *options, *names, "-lm", "-lpthread"])

    def archive(self, objects: Sequence[Path], target: Path) -> None:
        """Objects to a static library."""
        self._run([*self.archiver, "rcsD", str(target), *(str(one) for one in objects)])

    def _run(self, command: list[str]) -> None:
        remedy = "check that it is a C compiler for the artifact's target, or leave --cc away"
        run(command, failed=f"{' '.join(command[:3])} ... failed", remedy=remedy)


def find(target: Target, *, cc: str | None = None) -> Toolchain:
    """The toolchain for `target`, with the C compiler `cc` when one is named."""
    # The system's compiler links for the system's glibc, newer than what most targets promise.
    compiler = linker.compiler_for(target, cc=cc) if cc else linker.zig_compiler(target)
    flags = {"aarch64": AARCH64_FLAGS, "arm": ARM_FLAGS if not cc else ()}.get(target.arch, ())
    return Toolchain(compiler.command, zig("ar"), flags, linker.page_flags(target.arch))
