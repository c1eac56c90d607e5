# SPDX-License-Identifier: Apache-2.0
"""A file of lines that one process at a time adds to: whole lines, whatever kills that process.

Takes a path and lines; gives what the file held. An added line is on disk when `append` returns, and
a last line that a kill or a power cut tore is cut off when the file is next opened for adding.
"""

import codecs
import contextlib
import errno
import fcntl
import os
import weakref
from pathlib import Path

import msgspec

from mnc.support.errors import UserError

RECORD_START = b'{"input"'  # of AutoTVM's records and ours


class AppendOnlyFile:
    """An open file, locked to this process, its last line repaired.

    After a fork the child's copy is closed: the lock belongs to the open file, which both share, so a
    worker that outlives a killed tune would keep the file locked.
    """

    def __init__(self, path: Path) -> None:
        """Open `path` for adding, made if absent, with its folder. UserError when it cannot be
        written, or another process has it open like this.
        """
        self.path = path
        self._handle: int | None = _lock(path)
        _open_files.add(self)
        try:
            _repair(path, self._handle, read(path))
        except BaseException:
            self.close()
            raise

    def append(self, lines: bytes) -> None:
        """Add lines, newlines included, by one write. UserError when it cannot be (full disk), or when
        the file was moved or replaced meanwhile; it is then as it was.
        """
        handle = self._handle
        if handle is None:
            raise ValueError(f"{self.path} is closed")
        try:
            self._check_in_place(handle)
            size = os.fstat(handle).st_size
            try:
                if os.write(handle, lines) != len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
        except OSError as error:
            raise _cannot("write", self.path, error) from error

    def close(self) -> None:
        """Give up the lock. Harmless when repeated."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _check_in_place(self, handle: int) -> None:
        """What is added to a file that is no longer at its path would be lost."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), self.path.stat()):
                return
        raise UserError(f"{self.path} was moved or replaced while in use; start again to continue")


_open_files: "weakref.WeakSet[AppendOnlyFile]" = weakref.WeakSet()


def _close_all() -> None:
    for file in list(_open_files):
        file.close()


os.register_at_fork(after_in_child=_close_all)


def read(path: Path) -> bytes:
    """All of the file, nothing when it is absent. UserError when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _cannot("read", path, error) from error


def _lock(path: Path) -> int:
    """The file open for adding and locked to us; retried when it is replaced in between."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise _cannot("write", path, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
            os.close(handle)
        except FileNotFoundError:
            os.close(handle)
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            raise UserError(
                f"{path} is being added to by {holder}; wait until it ends, or stop it first"
            ) from None
        except OSError as error:
            os.close(handle)
            raise _cannot("lock", path, error) from error


def _holder(handle: int) -> str:
    """Who has the lock: Linux lists "1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF"."""
    inode = str(os.fstat(handle).st_ino)
    with contextlib.suppress(OSError, IndexError):
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rsplit(":", 1)[-1] == inode and int(words[4]) > 0:
                return f"process {words[4]}"
    return "another process"


def lines(data: bytes) -> list[bytes]:
    """The lines of a file, whichever line ends (LF, CR LF, CR) and byte-order marks editors gave it."""
    return [line.removeprefix(codecs.BOM_UTF8) for line in data.splitlines()]


def _repair(path: Path, handle: int, data: bytes) -> None:
    """Give a last line without line end one, or cut it off where a write of ours was torn."""
    end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    tail = data[end:]
    if not tail:
        return
    try:
        if _is_torn(tail):
            os.ftruncate(handle, end)
        else:
            os.write(handle, b"\n")
        os.fsync(handle)
    except OSError as error:
        raise _cannot("repair the last line of", path, error) from error


def _is_torn(tail: bytes) -> bool:
    """Whether `tail` is the beginning of a record and nothing else; whatever more there is may be a
    person's, and is left alone.
    """
    if tail[: len(RECORD_START)] != RECORD_START[: len(tail)]:
        return False
    try:
        # Half a number is malformed, not cut short, to the decoder: look at what is before it.
        msgspec.json.decode(tail.rstrip(b"0123456789.eE+-"))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def _cannot(do: str, path: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(f"cannot {do} {path}: {reason}; check its permissions and the free space")
