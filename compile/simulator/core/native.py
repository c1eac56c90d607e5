# SPDX-License-Identifier: Apache-2.0
"""The C part of the simulator: compiled once with zig, kept in the cache folder, called through ctypes.

Takes nothing; gives `library()`. What is built depends on the sources alone: no option asks for this
machine's instructions, so that every machine works out the same numbers.
"""

import ctypes
import functools
import hashlib
import platform
import tempfile
from pathlib import Path
from typing import Any

from mnc.compile.simulator.core.c_headers import headers
from mnc.compile.simulator.core.structs import MachineLayout
from mnc.compile.toolchain.zig import run, zig
from mnc.support.files import cache_dir, writing

HERE = Path(__file__).parent
# Fused multiply-adds would round differently from one architecture to another.
FLAGS = ("-O3", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fno-sanitize=all", "-g0")
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-gnu")


@functools.cache
def library(source: Path = HERE / "simulator.c") -> Any:
    """The loaded library, its functions typed; tests give another `source`, whose folder is looked in first.

    UserError when it cannot be built.
    """
    loaded = ctypes.CDLL(str(_built(source)))
    pointer, count, number = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int
    long = ctypes.c_int64
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "machine_create": (pointer, [ctypes.POINTER(MachineLayout), pointer, pointer, count]),
        "machine_destroy": (None, [pointer]),
        "machine_run": (number, [pointer, pointer, pointer, count, number, long, long]),
        "machine_error": (None, [pointer, pointer, pointer]),
        "machine_counts": (None, [pointer, number, pointer]),
        "machine_streams": (None, [pointer, pointer]),
        "machine_sweep": (None, [pointer, ctypes.c_uint64, ctypes.c_uint64, number]),
        "core_create": (pointer, [pointer, pointer, count]),
        "core_destroy": (None, [pointer]),
        "core_restart": (None, [pointer]),
        "core_replay": (None, [pointer, pointer, ctypes.c_uint64, pointer]),
        "core_stats": (None, [pointer, pointer, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def _built(source: Path) -> Path:
    """The shared library's path; compiled when the cache has none of these sources."""
    digest = hashlib.sha256(repr(headers()).encode())
    for file in sorted({*source.parent.rglob("*.[ch]"), *HERE.rglob("*.[ch]")}):
        digest.update(file.name.encode() + file.read_bytes())
    digest.update(" ".join(_command(source, Path(), Path())).encode())
    path = cache_dir("simulator") / f"{digest.hexdigest()[:16]}.so"
    if not path.exists():
        _compile(source, path)
    return path


def _command(source: Path, include: Path, output: Path) -> list[str]:
    triple = f"{platform.machine()}-linux-gnu.2.17"
    compiler = [*zig("cc"), "-target", triple]
    folders = [f"-I{folder}" for folder in (include, source.parent, HERE)]
    options = [*FLAGS, *WARNINGS, "-fvisibility=hidden", "-shared", "-fPIC", *folders]
    return [*compiler, *options, str(source), "-o", str(output)]


def _compile(source: Path, path: Path) -> None:
    with writing(path), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        scratch = Path(folder)
        for name, text in headers().items():
            (scratch / name).write_text(text, "utf-8")
        built = scratch / path.name
        run(
            _command(source, scratch, built),
            failed="the simulator cannot be compiled",
            remedy="install ziglang again (`make setup`)",
        )
        built.replace(path)
