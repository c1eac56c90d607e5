# SPDX-License-Identifier: Apache-2.0
"""Folders that killed processes left behind go when the next is made; those of the living stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnc.support.owned_folder import owned_folder


@pytest.fixture
def dead() -> int:
    """The id of a process that is no more."""
    command = [sys.executable, "-c", "import os; print(os.getpid())"]
    done = subprocess.run(command, stdout=-1, check=True)
    return int(done.stdout)


def test_only_what_the_dead_left_goes(dead: int, tmp_path: Path) -> None:
    old, other = tmp_path / f"test-{dead}-left", tmp_path / f"another-{dead}-left"
    for folder in (old, other):
        folder.mkdir()
        (folder / "file").touch()
    first = owned_folder("test-", within=tmp_path)
    second = owned_folder("test-", within=tmp_path)
    assert first != second and first.name.startswith(f"test-{os.getpid()}-")
    assert set(tmp_path.iterdir()) == {first, second, other}


def test_it_goes_only_when_nothing_is_at_it_any_more(dead: int, tmp_path: Path) -> None:
    old = tmp_path / f"test-{dead}-left"
    old.mkdir()
    owned_folder("test-", within=tmp_path, grace=60.0)
    assert old.exists()
    os.utime(old, (0, 0))
    owned_folder("test-", within=tmp_path, grace=60.0)
    assert not old.exists()
