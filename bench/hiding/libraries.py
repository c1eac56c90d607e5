# SPDX-License-Identifier: Apache-2.0
"""An environment whose libraries ask `hide.c` where they would ask the CPU what it has.

Takes the name of a file in requirements/; gives the path of a Python interpreter, and the library that is
to be loaded first. Each `cpuid` of a shared library becomes an invalid instruction of the same length, which
`hide.c` answers. Needs Linux on x86-64, gcc and objdump.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench import environments
from mnc.support import child_process, error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir

SOURCE = Path(__file__).parent / "hide.c"
CPUID, INSTEAD = b"\x0f\xa2", b"\xce\xce"
FOUND = re.compile(rb"\s*([0-9a-f]+):\s+cpuid\b")
LOADED = re.compile(
    r"^\s+LOAD\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s.*E\s", re.MULTILINE
)


def python(name: str) -> Path:
    """The interpreter of `environments.python(name)`'s copy, made when absent."""
    whole = environments.python(name).parents[1]
    folder = whole.with_name(f"{whole.name}-hidden")
    if not (folder / ".hidden").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder, symlinks=True, copy_function=_link)
        for library in _libraries(folder):
            patch(library)
        (folder / ".hidden").touch()
    return folder / "bin" / "python"


def preloaded() -> Path:
    """What `hide.c` is compiled to, made when it is not up to date."""
    made = cache_dir("peers", "hiding") / "hide.so"
    if not made.is_file() or made.stat().st_mtime < SOURCE.stat().st_mtime:
        _run("gcc", "-O2", "-shared", "-fPIC", "-o", str(made), str(SOURCE))
    return made


def patch(library: Path) -> int:
    """Replace each `cpuid` of `library` in a file of its own; gives how many there are."""
    addresses = _addresses(library)
    if not addresses:
        return 0
    content = bytearray(library.read_bytes())
    segments = _segments(library)
    for address in addresses:
        place = next(
            at + address - start for at, start, size in segments if 0 <= address - start < size
        )
        if content[place : place + 2] != CPUID:
            raise UserError(f"{library.name}: no cpuid where objdump sees one, at {address:#x}")
        content[place : place + 2] = INSTEAD
    mode = library.stat().st_mode
    library.unlink()  # the other environment has the same file
    library.write_bytes(content)
    library.chmod(mode)
    return len(addresses)


def _addresses(library: Path) -> list[int]:
    """Of each `cpuid`, line by line of the disassembly, which is a hundred times the library."""
    _tool("objdump")
    command = ["objdump", "-d", "--no-show-raw-insn", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        lines = child_process.pipe(process.stdout)
        found = [match[1] for match in map(FOUND.match, lines) if match]
    if process.returncode:
        raise UserError(f"objdump cannot read {library}")
    return [int(one, 16) for one in found]


def _segments(library: Path) -> list[tuple[int, int, int]]:
    """(offset in the file, address, bytes) of what is loaded to be executed."""
    text = _run("readelf", "-lW", str(library))
    found = [tuple(int(one, 16) for one in match) for match in LOADED.findall(text)]
    return [(at, start, size) for at, start, size in found]


def _libraries(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        is_one = path.name.endswith(".so") or ".so." in path.name
        if is_one and path.is_file() and not path.is_symlink():
            yield path


def _link(source: str, target: str) -> None:
    os.link(source, target)


def _run(*command: str) -> str:
    _tool(command[0])
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise UserError(f"{command[0]}: {error_text.of_tool(done.stderr, done.returncode)}")
    return done.stdout


def _tool(name: str) -> None:
    if shutil.which(name) is None:
        raise UserError(f"hiding instructions needs {name}; install it (packages binutils and gcc)")
