# SPDX-License-Identifier: Apache-2.0
"""Builds TVM's runtime library for an architecture that has no wheel, from the sources in the wheel we have.

Takes zig's name of the system and CPU; gives the library, kept in the cache. Takes some minutes once.
"""

import hashlib
import importlib.metadata
import importlib.util
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mnc.compile.toolchain.zig import run, zig
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, folder_atomic
from mnc.targets import topology

logger = logging.getLogger(__name__)

LIBRARY = "libtvm_runtime.so"
MISSING_HEADERS = Path(__file__).with_name("cpp")
PARTS = ("", "memory", "vm", "rpc", "graph_executor", "graph_executor/debug", "minrpc")
INCLUDES = ("include", "src", "3rdparty/dlpack/include", "3rdparty/dmlc-core/include",
            "3rdparty/compiler-rt", "3rdparty/picojson", "3rdparty/rang/include")  # fmt: skip
DEFINES = (
    "DMLC_USE_LOGGING_LIBRARY=<tvm/runtime/logging.h>",
    "DMLC_USE_FOPEN64=0",
    # glibc's backtrace() walks the stack with libgcc's unwinder, zig's libraries with LLVM's: on ARM
    # the two together end in a crash at the first exception.
    "DMLC_LOG_STACK_TRACE=0",
    "TVM_USE_LIBBACKTRACE=0",
    "TVM_LOG_DEBUG=0",
    "TVM_INDEX_DEFAULT_I64=1",
    "_GNU_SOURCE",
)
VERSION = 1  # of this recipe


def runtime_library(triple: str, cpu: str) -> Path:
    """The runtime for zig's `triple` ("arm-linux-gnueabihf.2.28") and `cpu` ("cortex_a7").

    UserError when it cannot be compiled.
    """
    version = importlib.metadata.version("xtc-tvm-python-bindings")
    recipe = repr((VERSION, version, triple, cpu, DEFINES, PARTS))
    folder = cache_dir("runtimes") / f"{triple}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        sources = sources_of(tvm_package())
        logger.info(
            "compiling TVM's runtime for %s: %d files, some minutes, once", triple, len(sources)
        )
        with folder_atomic(folder) as scratch:
            _build(sources, scratch, ("-target", triple, f"-mcpu={cpu}"))
    return folder / LIBRARY


def tvm_package() -> Path:
    """The installed package's folder, which holds TVM's sources; tvm is not imported."""
    spec = importlib.util.find_spec("tvm")
    if spec is None or spec.origin is None:
        raise UserError("tvm is not installed; run `make setup`")
    return Path(spec.origin).parent


def sources_of(package: Path) -> list[Path]:
    """The runtime's C++ files: what a CPU needs, with graph executor, profiler and RPC."""
    folders = [package / "src/runtime" / part for part in PARTS]
    return sorted(path for folder in folders for path in folder.glob("*.cc"))


def _build(sources: Sequence[Path], scratch: Path, target: tuple[str, ...]) -> None:
    package = tvm_package()
    headers = [MISSING_HEADERS, *(package / name for name in INCLUDES)]
    flags = ["-O2", "-std=c++17", "-fPIC", "-fno-sanitize=undefined", "-w", *target]
    flags += [f"-I{header}" for header in headers] + [f"-D{define}" for define in DEFINES]
    objects = [scratch / f"{number}.o" for number in range(len(sources))]
    with ThreadPoolExecutor(topology.processes(len(sources))) as pool:
        jobs = [
            pool.submit(_zig, [*flags, "-c", str(source), "-o", str(made)])
            for source, made in zip(sources, objects, strict=True)
        ]
        for job in jobs:
            job.result()
    inputs = [str(made) for made in objects]
    _zig([*target, "-shared", "-Wl,--strip-debug", "-o", str(scratch / LIBRARY), *inputs])
    for made in objects:
        made.unlink()


def _zig(arguments: list[str]) -> None:
    run(
        [*zig("c++"), *arguments],
        failed="cannot compile TVM's runtime",
        remedy="set up anew with `make setup`",
    )
