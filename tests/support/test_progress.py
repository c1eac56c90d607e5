# SPDX-License-Identifier: Apache-2.0
"""What takes its time is shown by whoever asked for it, and by nobody else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mnc.support.progress import keep_time, last_time, shown_by, working


def test_work_is_shown_while_it_lasts_and_only_in_its_own_thread() -> None:
    said: list[str] = []

    @contextmanager
    def show(text: str) -> Iterator[None]:
        said.append(f"begin {text}")
        yield
        said.append(f"end {text}")

    def elsewhere() -> None:
        with working("elsewhere"):
            pass

    with shown_by(show):
        with working("baking"):
            said.append("kneading")
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    with working("unseen"):
        pass
    assert said == ["begin baking", "kneading", "end baking"]


def test_a_duration_is_kept_and_a_damaged_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNC_CACHE", str(tmp_path))
    assert last_time("baking") is None
    keep_time("baking", 12.5)
    assert last_time("baking") == 12.5 and last_time("frying") is None
    (kept,) = (path for path in tmp_path.rglob("*") if path.is_file())
    kept.write_text("a while")
    assert last_time("baking") is None


def test_a_cache_that_cannot_be_written_costs_the_estimate_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MNC_CACHE", str(tmp_path / "file"))
    keep_time("baking", 12.5)
    assert last_time("baking") is None
