# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent, never half-written, and where caches live."""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mnc.support.errors import UserError

PARTIAL = ".partial"  # how the name of a file or folder in the making ends
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2


def cache_dir(*parts: str) -> Path:
    """A folder for what can be fetched or computed again: $MNC_CACHE, or ~/.cache/mnc. Made when absent."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(os.environ.get("MNC_CACHE") or Path(home) / "mnc").joinpath(*parts)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256(path: Path) -> str:
    """The file's SHA-256 as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError met while writing `path` (read-only folder, full disk) into a UserError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}; free space or choose another folder"
        ) from error


def check_replaceable(folder: Path, *, marker: str, kind: str) -> None:
    """UserError unless `folder` is absent, empty, or holds `marker` as all of our `kind` do: the rest is not
    ours to remove.
    """
    try:
        if not folder.exists() or (folder / marker).is_file():
            return
        if folder.is_dir() and not any(folder.iterdir()):
            return
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}; choose another folder") from None
    raise UserError(f"{folder} exists and is no {kind}, so it is kept; choose another folder")


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole: to a temporary name beside it, synced, then renamed over `path`."""
    with writing(path), _partial(path, folder=False) as scratch:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.chmod(0o644)
        scratch.replace(path)


@contextlib.contextmanager
def folder_atomic(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on success it takes the place of `path`.

    On any error, Ctrl-C included, the temporary folder goes and what stood at `path` stays as it was.
    What a killed writer left is removed by the next one; `path` itself is whole at every instant
    (where the file system cannot exchange two names, it is absent for one).
    """
    with writing(path):
        path = path.resolve()  # of a link, the folder it leads to is replaced, not the link
        with _partial(path, folder=True) as scratch:
            yield scratch
            scratch.chmod(0o755)
            if path.exists():
                _exchange(scratch, path)
            else:
                scratch.rename(path)


@contextlib.contextmanager
def _partial(path: Path, *, folder: bool) -> Iterator[Path]:
    """A new empty file or folder beside `path`, locked while it is ours; what is left there goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    scratch, handle = _make(path, folder=folder)
    try:
        yield scratch
    finally:
        _remove(scratch)
        os.close(handle)


def _make(path: Path, *, folder: bool) -> tuple[Path, int]:
    """(the new one, a handle whose lock says that its owner lives)."""
    while True:
        prefix, parent = f".{path.name[:200]}.", path.parent
        if folder:
            scratch = Path(tempfile.mkdtemp(prefix=prefix, suffix=PARTIAL, dir=parent))
        else:
            made, name = tempfile.mkstemp(prefix=prefix, suffix=PARTIAL, dir=parent)
            os.close(made)
            scratch = Path(name)
        with contextlib.suppress(FileNotFoundError):  # swept before it was locked
            handle = os.open(scratch, os.O_RDONLY)
            with contextlib.suppress(OSError):  # a file system without locks: nothing is swept
                fcntl.flock(handle, fcntl.LOCK_EX)
            if scratch.exists():
                return scratch, handle
            os.close(handle)


def _sweep(path: Path) -> None:
    """Remove what writers of `path` that were killed left beside it: those whose lock is free."""
    name = re.compile(re.escape(f".{path.name[:200]}.") + r"[a-z0-9_]{8}" + re.escape(PARTIAL))
    for stale in path.parent.iterdir():
        if not name.fullmatch(stale.name) or stale.is_symlink():
            continue
        with contextlib.suppress(OSError):  # in use, another user's, or gone by now
            handle = os.open(stale, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(stale)
            finally:
                os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange(new: Path, old: Path) -> None:
    """Swap two names in one step; in two steps where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # an old C library
        _exchange_in_steps(new, old)
        return
    names = (AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(old))
    if renameat2(*names, RENAME_EXCHANGE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(number, os.strerror(number), str(old))
    _exchange_in_steps(new, old)


def _exchange_in_steps(new: Path, old: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".", suffix=PARTIAL, dir=old.parent) as aside:
        kept = Path(aside) / "old"
        old.rename(kept)
        try:
            new.rename(old)
        except BaseException:
            kept.rename(old)
            raise
