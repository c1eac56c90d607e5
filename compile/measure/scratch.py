# SPDX-License-Identifier: Apache-2.0
"""Where measuring keeps its files while it lasts: a folder in memory where there is some.

Gives a new folder, named after the process that owns it; folders of processes that were killed go first.
"""

import os
from pathlib import Path

from mnc.support.owned_folder import owned_folder

PREFIX = "mnc-measure-"
MEMORY = Path("/dev/shm")


def scratch_folder() -> Path:
    """A new folder, for its owner to remove. Folders that killed runs left behind go first."""
    return owned_folder(PREFIX, within=MEMORY if os.access(MEMORY, os.W_OK) else None)
