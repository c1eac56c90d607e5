# SPDX-License-Identifier: Apache-2.0
"""The folders that measuring works in."""

import os
import subprocess
import sys

from mnc.compile.measure.scratch import PREFIX, scratch_folder


def test_folders_of_killed_runs_are_cleared() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], stdout=-1, check=True
    )
    first = scratch_folder()
    old = first.parent / f"{PREFIX}{int(done.stdout)}-left"
    ours = first.parent / f"{PREFIX}{os.getpid()}-ours"
    old.mkdir()
    ours.mkdir()
    new = scratch_folder()
    assert not old.exists()
    assert first.exists() and ours.exists() and new.exists()
    for folder in (first, ours, new):
        folder.rmdir()
