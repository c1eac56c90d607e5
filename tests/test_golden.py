# SPDX-License-Identifier: Apache-2.0
"""Golden texts are compared word by word, written only when that is asked for, and never made by the way."""

from pathlib import Path

import pytest

from tests.golden import OPTION, Golden

ROOT = Path(__file__).resolve().parents[1]


def test_what_was_written_is_what_is_compared(tmp_path: Path) -> None:
    Golden(tmp_path / "golden", update=True).check("loop", "add\nmul\n\n")
    assert (tmp_path / "golden" / "loop.txt").read_text("utf-8") == "add\nmul\n"
    Golden(tmp_path / "golden", update=False).check("loop", "add\nmul")


def test_a_difference_is_shown_with_the_way_to_update(tmp_path: Path) -> None:
    Golden(tmp_path, update=True).check("loop", "add\nmul")
    with pytest.raises(pytest.fail.Exception) as failure:
        Golden(tmp_path, update=False).check("loop", "add\nfma")
    said = str(failure.value)
    assert "\n-mul\n+fma\n" in said and OPTION in said and str(tmp_path / "loop.txt") in said
    assert (tmp_path / "loop.txt").read_text("utf-8") == "add\nmul\n"


def test_a_missing_text_fails_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="is missing; make it with: pytest"):
        Golden(tmp_path, update=False).check("loop", "add")
    assert not any(tmp_path.iterdir())


def test_every_golden_folder_lies_beside_tests_that_read_it() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("golden/*.txt")}
    assert folders
    for folder in folders:
        tests = (path.read_text("utf-8") for path in folder.parent.glob("test_*.py"))
        assert any("golden.check(" in text for text in tests), folder
