# SPDX-License-Identifier: Apache-2.0
"""The file system of a virtual board: another architecture's Python, TVM runtime and C library.

Takes an architecture; gives a folder put together from Debian packages and Python wheels, unpacked, not
installed, kept in the cache. No root needed. Hard links, so that nothing is stored twice.
"""

import compileall
import contextlib
import fcntl
import hashlib
import importlib.metadata
import logging
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from mnc.compile.rpc.runtime_build import LIBRARY, runtime_library, tvm_package
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, folder_atomic
from mnc.support.registry import debian_package, pip_files

logger = logging.getLogger(__name__)

DEBIAN = (
    "libc6 libgcc-s1 libstdc++6 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libexpat1 "
    "zlib1g libffi8 libssl3 libbz2-1.0 liblzma5"
).split()
RUNTIME = "xtc-tvm-python-bindings"
# What `import tvm, tvm.rpc` needs, in the versions of this very environment.
WHEELS = (
    "numpy ml_dtypes psutil tornado cloudpickle decorator attrs packaging typing_extensions"
).split()
QEMU = "qemu-user-static"
PYTHON, SITE = "usr/bin/python3.11", "site"
DEBIAN_MODULES = "usr/lib/python3/dist-packages"
VERSION = 1  # of the recipe below


class System(msgspec.Struct, frozen=True, kw_only=True):
    """An architecture whose programs qemu-user can run here.

    Where TVM has no wheels for it (`built_for`: zig's triple and CPU), the runtime is compiled, numpy is
    Debian's, and of the other wheels only the Python is used. `links` are made as Debian's alternatives are.
    """

    debian: str
    qemu: str
    wheels: str = "aarch64"
    built_for: tuple[str, str] | None = None
    extra: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()


ARM_LIBRARIES = "usr/lib/arm-linux-gnueabihf"
SYSTEMS = {
    "aarch64": System(debian="arm64", qemu="qemu-aarch64-static"),
    "arm": System(
        debian="armhf",
        qemu="qemu-arm-static",
        built_for=("arm-linux-gnueabihf.2.28", "cortex_a7"),
        extra=("python3-numpy", "libblas3", "liblapack3", "libgfortran5"),
        links=(
            (f"{ARM_LIBRARIES}/libblas.so.3", "blas/libblas.so.3"),
            (f"{ARM_LIBRARIES}/liblapack.so.3", "lapack/liblapack.so.3"),
        ),
    ),
}
COMPILED = ("numpy", "ml_dtypes", "psutil")  # wheels of no use to another architecture


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """A board's file system, and the emulator for its programs."""

    folder: Path
    qemu: Path

    def command(self, program: str, *arguments: str, cpu: str) -> list[str]:
        """The command that runs `program` of this root."""
        start = [str(self.qemu), "-L", str(self.folder), "-cpu", cpu]
        return [*start, str(self.folder / program), *arguments]

    @property
    def site(self) -> Path:
        """Where the wheels are."""
        return self.folder / SITE

    @property
    def python_path(self) -> str:
        """Where the wheels are, and Debian's own modules."""
        return os.pathsep.join([str(self.site), str(self.folder / DEBIAN_MODULES)])


def root(arch: str) -> Root:
    """The root for `arch`, put together when it is not in the cache, each step logged.

    UserError for an architecture without one, or when a package cannot be fetched.
    """
    if arch not in SYSTEMS:
        raise UserError(
            f"there is no virtual board for {arch}; choose a target of {', '.join(SYSTEMS)}, or connect a "
            "real device (see docs/devices.md)"
        )
    system = SYSTEMS[arch]
    wanted = _requirements()
    recipe = repr((VERSION, DEBIAN, system, wanted, sys.version_info[:2]))
    folder = cache_dir("boards") / f"{arch}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with _locked(arch):
        if not folder.is_dir():
            _assemble(folder, system, wanted)
        return Root(folder=folder, qemu=_qemu(system))


def _requirements() -> list[str]:
    """The wheels, pinned to what is installed here: client and server then speak the same protocol."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in (*WHEELS, RUNTIME)]


def _assemble(folder: Path, system: System, wanted: list[str]) -> None:
    with folder_atomic(folder) as scratch:
        for name in (*DEBIAN, *system.extra):
            logger.info("Debian package %s for %s", name, system.debian)
            _link_tree(debian_package(name, arch=system.debian), scratch, _not_documentation)
        for place, target in system.links:
            (scratch / place).symlink_to(target)
        if system.built_for is None:
            _add_wheels(scratch / SITE, wanted, system.wheels)
        else:
            _add_python(scratch / SITE, wanted, system.wheels)
            _link(runtime_library(*system.built_for), scratch / SITE / "tvm" / LIBRARY)
        logger.info("compiling Python files")
        compileall.compile_dir(scratch / SITE, quiet=2, workers=1)
        compileall.compile_dir(scratch / "usr/lib/python3.11", quiet=2, workers=1)


def _add_wheels(site: Path, wanted: list[str], platform: str) -> None:
    for requirement in wanted:
        logger.info("wheel %s for %s", requirement, platform)
        keep = _runtime_only if requirement.startswith(RUNTIME) else _everything
        _link_tree(pip_files(requirement, platform=platform), site, keep)


def _add_python(site: Path, wanted: list[str], platform: str) -> None:
    """Python files of the wheels, TVM's own among them."""
    for requirement in wanted:
        if not requirement.startswith((RUNTIME, *COMPILED)):
            logger.info("wheel %s, its Python files", requirement)
            _link_tree(pip_files(requirement, platform=platform), site, _python_only)
    _link_tree(tvm_package(), site / "tvm", _python_only)


def _qemu(system: System) -> Path:
    path = debian_package(QEMU) / "usr/bin" / system.qemu
    if not path.is_file() or not path.stat().st_mode & stat.S_IXUSR:
        raise UserError(f"{QEMU} holds no {system.qemu}; remove {path.parents[2]} and try again")
    return path


def _link_tree(source: Path, target: Path, keep: Callable[[Path], bool]) -> None:
    """Add what `keep` wants of `source` to `target`; names are relative to `source`."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if not keep(name):
            continue
        place = target / name
        if path.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.readlink())
        elif path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(path, place)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def _everything(name: Path) -> bool:
    return True


def _not_documentation(name: Path) -> bool:
    return name.parts[:2] not in (("usr", "share"),)


def _python_only(name: Path) -> bool:
    return name.suffix == ".py" and name.parts[0] != "3rdparty"


def _runtime_only(name: Path) -> bool:
    """TVM's Python and the runtime library: the compiler's is 70 MB, and boards do not compile."""
    if name.parts[1:2] == ("3rdparty",):
        return False
    return name.suffix == ".py" or name.name == "libtvm_runtime.so"


@contextlib.contextmanager
def _locked(arch: str) -> Iterator[None]:
    with (cache_dir("locks") / f"board-{arch}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
