# SPDX-License-Identifier: Apache-2.0
"""The file system of a virtual board: another architecture's Python, TVM runtime and C library.

Takes an architecture; gives a folder put together from Debian packages and Python wheels, unpacked, not
installed, kept in the cache. No root needed. Hard links, so that nothing is stored twice.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import logging
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mnc.compile.rpc import debian
from mnc.compile.rpc.debian import Release, System
from mnc.compile.rpc.runtime_build import LIBRARY, runtime_library, tvm_package
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, folder_atomic
from mnc.support.registry import debian_package, debian_release, pip_files

logger = logging.getLogger(__name__)

RUNTIME = "xtc-tvm-python-bindings"
# What `import tvm, tvm.rpc` needs, in the versions of this very environment.
WHEELS = (
    "numpy ml_dtypes psutil tornado cloudpickle decorator attrs packaging typing_extensions"
).split()
SITE = "site"
DEBIAN_MODULES = "usr/lib/python3/dist-packages"
VERSION = 2  # of the recipe below
COMPILED = ("numpy", "ml_dtypes", "psutil")  # wheels of no use to another architecture


@dataclass(frozen=True)
class Root:
    """A board's file system, the emulator for its programs, and the Debian that it is of."""

    folder: Path
    qemu: Path
    release: Release

    def command(self, program: str, *arguments: str, cpu: str) -> list[str]:
        """The command that runs `program` of this root."""
        start = [str(self.qemu), "-L", str(self.folder), "-cpu", cpu]
        return [*start, str(self.folder / program), *arguments]

    @property
    def python(self) -> str:
        """Its Python, for `command`."""
        return f"usr/bin/python{self.release.python}"

    @property
    def library(self) -> Path:
        """Where Python's own modules are."""
        return self.folder / f"usr/lib/python{self.release.python}"

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
    system, release = debian.system(arch), debian.release(debian_release())
    wanted = _requirements()
    folder = cache_dir("boards") / f"{arch}-{_recipe(release, system, wanted)}"
    with _locked(arch):
        qemu = emulator(arch)
        if not folder.is_dir():
            with folder_atomic(folder) as scratch:
                _assemble(Root(scratch, qemu, release), system, wanted)
        return Root(folder, qemu, release)


def emulator(arch: str) -> Path:
    """qemu's program for `arch`; errors as `root`."""
    release = debian.release(debian_release())
    name = release.emulator(arch)
    path = debian_package(release.qemu) / "usr/bin" / name
    if not path.is_file() or not path.stat().st_mode & stat.S_IXUSR:
        raise UserError(f"{release.qemu} holds no {name}; remove {path.parents[2]} and try again")
    return path


def add_packages(folder: Path, names: Iterable[str], *, arch: str) -> None:
    """Unpack Debian packages for `arch`, without their documentation, into one file system."""
    for name in names:
        logger.info("Debian package %s for %s", name, arch)
        _link_tree(debian_package(name, arch=arch), folder, _not_documentation)
    if not (folder / "lib").exists():  # where Debian 13 has its loader; no package ships the link
        (folder / "lib").symlink_to("usr/lib")


def _recipe(*parts: object) -> str:
    """Digest of what a root is made of: a change of any part makes another root."""
    return hashlib.sha256(repr((VERSION, *parts)).encode()).hexdigest()[:12]


def _requirements() -> list[str]:
    """The wheels, pinned to what is installed here: client and server then speak the same protocol."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in (*WHEELS, RUNTIME)]


def _assemble(root: Root, system: System, wanted: list[str]) -> None:
    add_packages(root.folder, (*root.release.packages, *system.extra), arch=system.debian)
    for place, target in system.links:
        (root.folder / place).symlink_to(target)
    if system.built_for is None:
        _add_wheels(root, wanted, system.wheels)
    else:
        _add_python(root, wanted, system.wheels)
        _link(runtime_library(*system.built_for), root.site / "tvm" / LIBRARY)
    logger.info("compiling Python files")
    compiler = [*_compiler(root), "-m", "compileall", "-qq"]
    subprocess.run([*compiler, root.site, root.library], check=False)  # some are meant to be wrong


def _compiler(root: Root) -> list[str]:
    """The board's own Python, unless this one is of the same version and many times faster."""
    if root.release.python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return [sys.executable, "-P"]
    return root.command(root.python, "-S", "-P", cpu="max")


def _add_wheels(root: Root, wanted: list[str], platform: str) -> None:
    for requirement in wanted:
        logger.info("wheel %s for %s", requirement, platform)
        keep = _runtime_only if requirement.startswith(RUNTIME) else _everything
        wheel = pip_files(requirement, platform=platform, python=root.release.python)
        _link_tree(wheel, root.site, keep)


def _add_python(root: Root, wanted: list[str], platform: str) -> None:
    """Python files of the wheels, TVM's own among them."""
    for requirement in wanted:
        if not requirement.startswith((RUNTIME, *COMPILED)):
            logger.info("wheel %s, its Python files", requirement)
            wheel = pip_files(requirement, platform=platform, python=root.release.python)
            _link_tree(wheel, root.site, _python_only)
    _link_tree(tvm_package(), root.site / "tvm", _python_only)


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
