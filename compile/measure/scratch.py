# SPDX-License-Identifier: Apache-2.0
"""Where measuring keeps its files while it lasts: a folder in memory where there is some.

Gives a new folder, named after the process that owns it; folders of processes that were killed go first.
"""

import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "mnc-measure-"
MEMORY = Path("/dev/shm")


def scratch_folder() -> Path:
    """A new folder, for its owner to remove. Folders that killed runs left behind go first."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for old in parent.glob(f"{PREFIX}*"):
        owner = old.name.removeprefix(PREFIX).split("-", 1)[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
