# SPDX-License-Identifier: Apache-2.0
"""Fetch one package's files through its registry's ordinary client: pip, apt-get or npm.

Takes a package name and version; gives a folder with the unpacked files, kept under the cache and
reused. The clients check the hashes their registries publish; callers may pin one of their own.
"""

import contextlib
import fcntl
import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from platform import freedesktop_os_release

from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, folder_atomic, sha256

GLIBC_MINORS = range(17, 37)  # manylinux_2_17 (2014) to Debian 12's glibc 2.36
NOISE = re.compile(r"complete log|\.log$|notice", re.IGNORECASE)


def pip_files(
    requirement: str,
    *,
    sdist: bool = False,
    platform: str | None = None,
    python: str | None = None,
    sha256_hex: str | None = None,
    only: Sequence[str] = (),
) -> Path:
    """Folder with the unpacked wheel (or sdist) of `requirement`, such as ``"nudity==0.2.3"``.

    `platform` is a pip platform tag, or a machine name (``aarch64``) standing for all its manylinux
    tags, `python` then that machine's version (``3.13``), as a rule this one's. `sha256_hex` pins the
    archive. `only` keeps just the members that match a pattern.
    An sdist's metadata is prepared by pip, which runs its setup script: pin those by hash.
    """
    options = ["--no-deps", "--quiet", "--disable-pip-version-check"]
    options += ["--no-binary=:all:"] if sdist else ["--only-binary=:all:"]
    variant: list[str] = []
    if platform is not None:
        variant = [python or f"{sys.version_info.major}.{sys.version_info.minor}"]
        options += _foreign(platform, *variant)
    folder = _folder("pip", requirement, sdist, platform, sha256_hex, *only, *variant)
    manual = (
        f"check the network, or run `pip download --no-deps{' --no-binary :all:' if sdist else ''}"
        f" {requirement}` elsewhere and unpack it into {folder}"
    )
    with _new(folder) as scratch:
        if scratch is None:
            return folder
        wanted = scratch / "requirement.txt"
        wanted.write_text(requirement + (f" --hash=sha256:{sha256_hex}" if sha256_hex else ""))
        command = [sys.executable, "-P", "-m", "pip", "download", *options, "-r", str(wanted)]
        _run([*command, "-d", str(scratch)], what=requirement, manual=manual)
        wanted.unlink()
        _unpack_only_archive(scratch, only=only, pin=sha256_hex)
    return folder


def debian_release() -> str:
    """The release whose packages apt-get has here, by its codename ("trixie"); "" when none is told."""
    try:
        told = freedesktop_os_release()
    except OSError:
        return ""
    return told.get("DEBIAN_CODENAME") or told.get("VERSION_CODENAME", "")


def debian_package(name: str, *, arch: str | None = None) -> Path:
    """Folder with the Debian package `name` of this system's release, unpacked, not installed.

    Needs no root. `arch` may be foreign (``arm64``, ``armhf``): APT then works on private lists.
    """
    folder = _folder("debian", name, arch, debian_release())
    manual = (
        f"check the network, or run `apt-get download {name}{f':{arch}' if arch else ''}` elsewhere"
        f" and `dpkg -x` the file into {folder}"
    )
    with _new(folder) as scratch:
        if scratch is None:
            return folder
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise UserError(f"cannot fetch {name}: apt-get and dpkg are needed; {manual}")
        _apt_download(name, scratch, arch=arch, manual=manual)
        archive = _only_file(scratch)
        unpack = ["dpkg", "-x", str(archive), str(scratch)]
        _run(unpack, what=name, manual=manual)
        archive.unlink()
    return folder


def npm_package(name: str, version: str) -> Path:
    """Folder with the unpacked npm package, its files under ``package/``; no scripts are run."""
    folder = _folder("npm", name, version)
    manual = f"run `npm pack {name}@{version}` elsewhere and unpack it into {folder}"
    if shutil.which("npm") is None:
        raise UserError(
            f"cannot fetch {name} {version}: npm was not found; install it, or {manual}"
        )
    with folder_atomic(folder) as scratch:
        command = ["npm", "pack", "--ignore-scripts", "--silent", f"{name}@{version}"]
        _run(
            command, what=f"{name} {version}", manual=f"check the network, or {manual}", cwd=scratch
        )
        _unpack_only_archive(scratch)
    return folder


def unpack(archive: Path, folder: Path, *, only: Sequence[str] = ()) -> None:
    """Unpack a wheel, zip or tar into `folder`; a member that points outside it is a UserError."""
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, folder, only)
        else:
            _unpack_tar(archive, folder, only)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(
            f"cannot unpack {archive.name}: {error}; delete it and try again"
        ) from error


def _unpack_zip(archive: Path, folder: Path, only: Sequence[str]) -> None:
    with zipfile.ZipFile(archive) as file:
        names = [name for name in file.namelist() if _wanted(name, only)]
        for name in names:
            _check_inside(archive, folder, name)
        file.extractall(folder, names)


def _unpack_tar(archive: Path, folder: Path, only: Sequence[str]) -> None:
    """Plain files only: tarfile's own filters came with Python 3.11.4, and Debian 12 has 3.11.2."""
    with tarfile.open(archive) as file:
        members = [member for member in file.getmembers() if _wanted(member.name, only)]
        for member in members:
            _check_inside(archive, folder, member.name)
            if member.issym():
                _check_inside(archive, folder, f"{Path(member.name).parent}/{member.linkname}")
            elif member.islnk():
                _check_inside(archive, folder, member.linkname)
        for member in members:
            content = file.extractfile(member) if member.isreg() else None
            if content is not None:
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())


def _check_inside(archive: Path, folder: Path, name: str) -> None:
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise UserError(f"cannot unpack {archive.name}: {name} points outside it; do not trust it")


def _wanted(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatch.fnmatch(name, pattern) for pattern in only)


def _unpack_only_archive(folder: Path, *, only: Sequence[str] = (), pin: str | None = None) -> None:
    archive = _only_file(folder)
    if pin is not None and sha256(archive) != pin:
        raise UserError(f"{archive.name} is not the pinned file (SHA-256 differs); do not trust it")
    unpack(archive, folder, only=only)
    archive.unlink()


def _only_file(folder: Path) -> Path:
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) != 1:
        raise UserError(f"expected one downloaded file, found {len(files)}; try again")
    return files[0]


def _foreign(platform: str, python: str) -> list[str]:
    """pip's options for a wheel that another machine, or another Python, can import."""
    abi = f"--abi=cp{python.replace('.', '')}"
    tags = [f"--platform={tag}" for tag in _platform_tags(platform)]
    return [
        f"--python-version={python}",
        "--implementation=cp",
        abi,
        "--abi=abi3",
        "--abi=none",
        *tags,
    ]


def _platform_tags(platform: str) -> list[str]:
    if "_" in platform and platform not in ("x86_64",):
        return [platform]
    newest_first = [f"manylinux_2_{minor}_{platform}" for minor in reversed(GLIBC_MINORS)]
    return [*newest_first, f"manylinux2014_{platform}", f"linux_{platform}"]


def _folder(client: str, name: str, *parts: object) -> Path:
    """Where a package goes: a readable name, with a short digest that keeps the variants apart."""
    readable = re.sub(r"[^A-Za-z0-9.+-]+", "_", name)
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
    return cache_dir("packages") / f"{client}-{readable}-{digest}"


@contextlib.contextmanager
def _new(folder: Path) -> Iterator[Path | None]:
    """Yield a scratch folder that becomes `folder`, or None when that is there already.

    Processes that want the same package wait for the one that fetches it.
    """
    with (cache_dir("locks") / folder.name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            yield None
            return
        with folder_atomic(folder) as scratch:
            yield scratch


def _apt_download(name: str, folder: Path, *, arch: str | None, manual: str) -> None:
    """`apt-get download` into `folder`, by the system's lists when they serve, else by our own."""
    native = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User="]
    if arch in (None, native):
        system = subprocess.run(
            [*command, "download", name], cwd=folder, capture_output=True, check=False
        )
        if system.returncode == 0:
            return
    with (cache_dir("locks") / f"apt-{arch or native}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _apt_private(name, folder, command, arch=arch or native, manual=manual)


def _apt_private(name: str, folder: Path, command: list[str], *, arch: str, manual: str) -> None:
    """Download by the lists in our cache; renew them when they are absent or too old to serve."""
    private = [*command, *_private_apt(arch)]
    lists = _apt_state(arch) / "lists"
    if any(lists.glob("*Packages*")):
        known = subprocess.run(
            [*private, "download", name], cwd=folder, capture_output=True, check=False
        )
        if known.returncode == 0:
            return
    # One list that a mirror has not synced yet makes the update fail, and the package may be in
    # another: only the download decides, with what the update said as the cause.
    update = subprocess.run([*private, "update"], capture_output=True, text=True, check=False)
    said = "" if update.returncode == 0 else update.stderr
    _run([*private, "download", name], what=name, manual=manual, cwd=folder, before=said)


def _apt_state(arch: str) -> Path:
    return cache_dir("apt", f"{debian_release()}-{arch}")


def _private_apt(arch: str) -> list[str]:
    """Options that keep APT's state for `arch` in our cache and leave the system's alone."""
    state = _apt_state(arch)
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    settings = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "Dir::Cache::archives": state / "archives",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "Acquire::Languages": "none",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _run(
    command: list[str], *, what: str, manual: str, cwd: Path | None = None, before: str = ""
) -> None:
    """Run a client. When it fails, UserError with its reason, looked for in `before` as well."""
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UserError(
            f"cannot fetch {what}: {_cause(before + done.stdout + done.stderr)}; {manual}"
        )


def _cause(output: str) -> str:
    """The client's own line about the error, without what surrounds it."""
    lines = [line for line in output.splitlines() if not NOISE.search(line)]
    # APT tells the cause first and what follows from it after; pip and npm conclude.
    apt = [line for line in lines if line.startswith("E:")]
    found = (
        apt[0] if apt else error_text.last_words("\n".join(lines)) or "the client gave no reason"
    )
    return re.sub(r"https?://\S+", "the registry", found)
