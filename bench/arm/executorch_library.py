# SPDX-License-Identifier: Apache-2.0
"""ExecuTorch's C++ interface as a library that a worker without PyTorch can call.

Takes the folder of ExecuTorch's unpacked AArch64 wheel; gives the path of workers/executorch_network.cpp,
compiled against its headers. These are for GNU's C++ library, not for zig's: its own come from Debian.
"""

import hashlib
import os
from pathlib import Path

from mnc.compile.rpc import debian
from mnc.compile.toolchain.zig import run, zig
from mnc.support.files import cache_dir, writing
from mnc.support.registry import debian_package

SOURCE = Path(__file__).parents[1] / "workers" / "executorch_network.cpp"
HEADERS = "libstdc++-12-dev"  # of Debian 12, the only one that programs are traced on
# The C library is Debian 12's; the definition is what the wheel's CMake files ask for.
FLAGS = (
    "-target aarch64-linux-gnu.2.36 -std=c++17 -O2 -shared -fPIC -nostdinc++ -nostdlib++ "
    "-DC10_USING_CUSTOM_GENERATED_MACROS"
).split()
LINKED = ("libexecutorch.so", "libexecutorch_threadpool.so")


def library(wheel: Path) -> Path:
    """The library, compiled when absent. UserError where Debian's headers cannot be fetched, or on another
    Debian.
    """
    own = debian_package(HEADERS, arch=debian.SYSTEMS["aarch64"].debian) / "usr/include"
    package = wheel / "executorch"
    headers = [
        own / "c++/12",
        own / "aarch64-linux-gnu/c++/12",
        package / "include",
        package / "include/executorch/runtime/core/portable_type/c10",
    ]
    parts = (FLAGS, LINKED, headers, SOURCE.read_text())
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    path = cache_dir("peers", "arm") / f"executorch-{digest}.so"
    if not path.exists():
        scratch = path.with_suffix(f".{os.getpid()}")
        found = [word for folder in headers for word in ("-I", str(folder))]
        linked = [str(package / "lib" / name) for name in LINKED]
        command = [*zig("c++"), *FLAGS, *found, str(SOURCE), *linked, "-o", str(scratch)]
        with writing(path):
            run(
                command, failed="ExecuTorch's library cannot be compiled", remedy="run `make setup`"
            )
            scratch.replace(path)
    return path
