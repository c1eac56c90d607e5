# SPDX-License-Identifier: Apache-2.0
"""The C compiler and linker that pip installs, ziglang: its commands, its caches, how one is run.

Takes the words of a command, zig's or another compiler's; gives nothing but what the command writes, or a
UserError with the line of its output that tells why not.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Sequence

from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir

TIMEOUT = 600.0  # seconds; the first link for a system builds zig's stubs of its C library


def zig(tool: str) -> tuple[str, ...]:
    """The command of one of zig's tools: "cc", "c++", "ar", "ld.lld"."""
    return (sys.executable, "-P", "-m", "ziglang", tool)


def run(command: Sequence[str], *, failed: str, remedy: str) -> None:
    """Run a compiler, linker or archiver to its end. UserError begins with `failed`, what could not be done,
    and ends with `remedy`, or with what else helps.
    """
    full = os.strerror(errno.ENOSPC)
    try:
        done = subprocess.run(
            command,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{failed}: it did not end in {TIMEOUT:g} s; try again") from None
    except OSError as error:
        raise UserError(f"{failed}: {error.strerror}; {remedy}") from None
    said = done.stderr + done.stdout
    if done.returncode != 0 and full in said:
        raise UserError(f"{failed}: {full}; free space or choose another folder")
    if done.returncode != 0:
        raise UserError(f"{failed}: {error_text.of_tool(said, done.returncode)}; {remedy}")


def _environment() -> dict[str, str]:
    cache = str(cache_dir("zig"))
    caches = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    return os.environ | caches | {"LC_ALL": "C.UTF-8"}  # English, which `error_text` reads
