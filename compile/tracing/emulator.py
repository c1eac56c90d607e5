# SPDX-License-Identifier: Apache-2.0
"""qemu-user with the plugin that tells what a program does.

Takes a command for an AArch64 Linux; gives a running process and the pipe that it writes to. Emulators that
take plugins are linked dynamically: their libraries come as packages too, unpacked, not installed.
"""

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mnc.compile.rpc import debian, rootfs
from mnc.compile.rpc.rootfs import Root
from mnc.compile.toolchain.zig import run, zig
from mnc.compile.tracing import board_files
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, writing
from mnc.support.registry import debian_package, debian_release
from mnc.targets import Target

HERE = Path(__file__).parent
SOURCES = ("plugin.c", "pace.h", "qemu_plugin.h", "stream.h")
PROGRAM = "usr/bin/qemu-aarch64"
KEPT = ("PATH", "HOME", "LANG")  # of this process's environment
PYTHON = "python"  # as the first word of a command: the root's own


@dataclass(frozen=True)
class Function:
    """A region that is a call of a function: the file it is in, where in that, and which call is priced."""

    path: Path
    offset: int
    call: int


@dataclass(frozen=True)
class Command:
    """An AArch64 program with its arguments, all paths as on this machine, and what is added to its
    environment. The program "python" is one with numpy and TVM's runtime.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Traced:
    """A program at work, and the end of the pipe that its words come out of (a file descriptor)."""

    popen: "subprocess.Popen[bytes]"
    pipe: int


@contextlib.contextmanager
def traced(command: Command, function: Function | None, target: Target) -> Iterator[Traced]:
    """Run a program as on `target`, traced where it marks regions itself, or in calls of `function`; it is
    gone in the end.

    UserError where this system has no emulator that takes plugins.
    """
    root = rootfs.root("aarch64")
    emulator, libraries = _emulator()
    # The program's stack begins with its environment: another one's would move all that lies there.
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    own["LD_LIBRARY_PATH"] = libraries
    with tempfile.TemporaryDirectory(prefix="mnc-trace-") as folder:
        pipe = Path(folder) / "words"
        os.mkfifo(pipe)
        plugin = ",".join([str(_plugin(emulator, own)), f"out={pipe}", *_options(function)])
        board = board_files.write(Path(folder) / "board", root, target)
        start = [
            *_fixed(),
            str(emulator),
            "-L",
            str(board),
            "-cpu",
            board_files.emulated_cpu(target),
        ]
        start += ["-seed", "1", *_environment(command, root), "-plugin", plugin]
        with subprocess.Popen([*start, *_words(command, root)], env=own) as popen:
            # Not waiting for the other end: a program that cannot start never opens it.
            end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            try:
                yield Traced(popen, end)
            finally:
                os.close(end)
                popen.kill()


def _fixed() -> list[str]:
    """What goes before the emulator so that addresses are the same in every run: nothing where a container
    does not let a process choose that.
    """
    if (setarch := shutil.which("setarch")) is None:
        return []
    command = [setarch, platform.machine(), "-R"]
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if tried.returncode == 0 else []


def _words(command: Command, root: Root) -> list[str]:
    """The command, where "python" is that of the root."""
    first, *others = command.words
    return [str(root.folder / root.python), *others] if first == PYTHON else [first, *others]


def _options(function: Function | None) -> list[str]:
    if function is None:
        return []
    if "," in str(function.path):
        raise UserError(f"{function.path}: a path with a comma cannot be traced; copy the file")
    return [f"code={function.path}", f"function={function.offset}", f"call={function.call}"]


def _environment(command: Command, root: Root) -> list[str]:
    """The emulator's own library path is not the program's; functions are bound before their first call,
    which would else run the loader's code; the root's Python finds its wheels.
    """
    theirs = {"LD_BIND_NOW": "1", "PYTHONHASHSEED": "0"}
    if command.words[0] == PYTHON:
        theirs["PYTHONPATH"] = root.python_path
    theirs |= command.environment
    unset = [] if "LD_LIBRARY_PATH" in theirs else ["-U", "LD_LIBRARY_PATH"]
    return [*unset, *(word for name, value in theirs.items() for word in ("-E", f"{name}={value}"))]


def why_not() -> str | None:
    """Why programs cannot be traced on this system, None where they can."""
    known = debian.RELEASES.get(debian_release())
    if known is not None and known.tracing:
        return None
    return "no emulator of this system takes plugins: trace on Debian 12 (bookworm)"


def _emulator() -> tuple[Path, str]:
    """The emulator, and where its libraries are."""
    if (why := why_not()) is not None:
        raise UserError(why)
    release = debian.release(debian_release())
    first, *others = (debian_package(name) for name in release.tracing)
    folders = {str(path.parent) for one in others for path in one.rglob("*.so.*")}
    return first / PROGRAM, os.pathsep.join(sorted(folders))


def _plugin(emulator: Path, environment: Mapping[str, str]) -> Path:
    """The plugin, compiled once for this machine and the emulator's interface."""
    version = _interface(emulator, environment)
    triple = f"{platform.machine()}-linux-gnu.2.17"
    flags = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-DPLUGIN_VERSION={version}")
    digest = hashlib.sha256(repr((flags, triple)).encode())
    for name in SOURCES:
        digest.update((HERE / name).read_bytes())
    path = cache_dir("tracing") / f"{digest.hexdigest()[:16]}.so"
    if not path.exists():
        scratch = path.with_suffix(f".{os.getpid()}")
        command = [
            *zig("cc"),
            "-target",
            triple,
            *flags,
            str(HERE / SOURCES[0]),
            "-o",
            str(scratch),
        ]
        with writing(path):
            run(command, failed="the tracing plugin cannot be compiled", remedy="run `make setup`")
            scratch.replace(path)
    return path


def _interface(emulator: Path, environment: Mapping[str, str]) -> int:
    """Version of the emulator's interface for plugins: qemu 9 left versions 1 and 2 behind."""
    said = subprocess.run(
        [emulator, "--version"], env=environment, capture_output=True, text=True, check=False
    )
    found = re.search(r"version (\d+)", said.stdout)
    if found is None:
        raise UserError(f"the emulator does not run: {said.stderr.strip() or said.stdout.strip()}")
    return 1 if int(found[1]) < 9 else 3
