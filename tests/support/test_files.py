# SPDX-License-Identifier: Apache-2.0
"""Files and folders that are whole or absent, whatever happens to their writer."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnc.support import files
from mnc.support.errors import UserError
from mnc.support.files import folder_atomic, write_atomic

ROOT = Path(__file__).parents[2]


def fill(path: Path, text: str) -> None:
    with folder_atomic(path) as scratch:
        for number in range(20):
            (scratch / f"{number}").write_text(text)


def contents(path: Path) -> set[str]:
    return {file.read_text() for file in path.iterdir()}


@pytest.mark.parametrize("steps", [False, True])
def test_a_folder_takes_the_old_one_s_place(
    tmp_path: Path, steps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if steps:  # a file system that cannot exchange
        monkeypatch.setattr(files, "RENAME_EXCHANGE", 1 << 20)
    path = tmp_path / "a folder ü"
    for text in ("one", "two"):
        fill(path, text)
        assert contents(path) == {text} and len(list(path.iterdir())) == 20
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o755


def test_an_error_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    fill(path, "one")
    with pytest.raises(KeyboardInterrupt), folder_atomic(path) as scratch:
        (scratch / "0").write_text("two")
        raise KeyboardInterrupt
    assert contents(path) == {"one"} and [entry.name for entry in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(UserError, match="free space or choose another"), folder_atomic(path):
        raise OSError(28, os.strerror(28))
    assert contents(path) == {"one"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    fill(tmp_path / "real", "one")
    fill(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink() and contents(tmp_path / "real") == {"two"}


def test_only_dead_writers_leftovers_are_swept(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    dead = tmp_path / ".folder.abcdefg1.partial"
    dead.mkdir()
    (dead / "half").write_text("")
    others = [
        tmp_path / ".folder.d",
        tmp_path / ".folder.mine.partial",
        tmp_path / "folder.partial",
    ]
    for other in others:
        other.mkdir()
    with folder_atomic(path) as outer:
        (outer / "outer").write_text("")
        fill(path, "inner")  # another writer meanwhile
        assert outer.is_dir()
    assert not dead.exists() and all(other.is_dir() for other in others)
    assert [file.name for file in path.iterdir()] == ["outer"]


def test_a_file_is_replaced_whole_and_leftovers_go(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    (tmp_path / ".file.json.abcdefg1.partial").write_bytes(b"half")
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two" and list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


WRITER = """
import sys
from pathlib import Path
from tests.support.test_files import fill
print("writing", flush=True)
number = 0
while True:
    number += 1
    fill(Path(sys.argv[1]), str(number))
"""


def test_killed_writers_leave_a_whole_folder_and_the_next_tidies_up(tmp_path: Path) -> None:
    path, chance = tmp_path / "folder", random.Random(5)
    fill(path, "0")
    for _ in range(int(os.environ.get("MNC_FAULTS", "12"))):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None and writer.stdout.readline() == b"writing\n"
        time.sleep(chance.uniform(0.0, 0.02))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert len(contents(path)) == 1 and len(list(path.iterdir())) == 20
    fill(path, "last")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
