# SPDX-License-Identifier: Apache-2.0
"""Folders for a while that no kill leaves behind: each is named after the process that owns it.

Takes the beginning of a name; gives a new folder, after those of dead processes have gone.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path


def owned_folder(prefix: str, *, within: Path | None = None, grace: float = 0.0) -> Path:
    """A new folder of this process in `within` (None: where temporary files are), for it to remove.

    Folders that killed owners left behind go first, unless something changed there `grace` seconds ago.
    """
    parent = within or Path(tempfile.gettempdir())
    for old in parent.glob(f"{prefix}*"):
        owner = old.name.removeprefix(prefix).split("-", 1)[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and _age(old) >= grace:
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0
