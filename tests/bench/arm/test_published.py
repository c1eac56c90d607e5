# SPDX-License-Identifier: Apache-2.0
"""Published latencies: the table is read, each row on its own board, and what is not run is said."""

from pathlib import Path

import msgspec
import pytest

from bench.arm import comparison, published
from bench.arm.comparison import Compared, Row
from bench.arm.published import Choice
from mnc.compile.simulator import totals
from mnc.support.errors import UserError
from mnc.targets import names


def test_every_row_has_a_core_and_a_network_that_is_known() -> None:
    rows = published.rows()
    assert len(rows) > 50
    for row in rows:
        target = published.target_of(row)
        assert (target.fast.cpu, target.fast.clock_ghz) == (row.core, row.ghz)
        assert row.network in published.NETWORKS and row.ms > 0 and row.threads <= target.fast.count
    assert published.MEMORY.keys() <= {row.board for row in rows} - published.BOARDS.keys()


def test_boards_that_are_no_target_have_files_and_a_row_runs_on_the_cores_it_names() -> None:
    rows = {(row.board, row.core): published.target_of(row) for row in published.rows()}
    vim3 = rows["Khadas VIM3", "cortex-a73"]
    assert vim3.fast.l2 is not None and vim3.fast.l2.size_kib == 1024
    assert vim3.memory.bandwidth(4) == pytest.approx(10) and vim3.name not in names()
    little = rows["RK3588", "cortex-a55"]
    assert little.fast.in_order and [one.cpu for one in little.cores] == [
        "cortex-a55",
        "cortex-a76",
    ]
    assert rows["ROCK 3A / RK3568", "cortex-a55"].memory.bandwidth(4) < 10


def test_a_table_of_other_boards_and_a_broken_one(tmp_path: Path) -> None:
    path = tmp_path / "boards.csv"
    head = published.TABLE.read_text().splitlines()[0]
    path.write_text(f"{head}\nOdroid N2,cortex-a73,4,1.8,1,ncnn,v1,f32,120,mine\n")
    (row,) = published.rows(path)
    assert published.target_of(row).fast.clock_ghz == 1.8
    path.write_text(f"{head}\nOdroid N2,cortex-a73,four,1.8,1,ncnn,v1,f32,120,mine\n")
    with pytest.raises(UserError, match=r"cannot read .*boards\.csv.*cores"):
        published.rows(path)
    with pytest.raises(UserError, match="no target has a cortex-x9"):
        published.target_of(Row("new", "cortex-x9", 1, 1.0, 1, "ncnn", "v1", "f32", 1.0, ""))


def test_errors_are_by_core_threads_and_precision_and_gains_of_one_board() -> None:
    one, four = (row for row in published.rows() if row.ms in (123.8, 60.7))
    (tengine,) = (row for row in published.rows() if "Pi 4" in row.board and row.ms == 125.7)
    assert "not run" in published.compare(tengine).why
    compared = [
        Compared(one, predicted=1.1 * one.ms),
        Compared(one, predicted=0.8 * one.ms),
        Compared(four, predicted=0.7 * four.ms),
        Compared(tengine, why="no"),
    ]
    found = comparison.errors(compared)
    single = [row for row in found if row["threads"] == "one thread"]
    assert {(row["core"], row["precision"]) for row in single} == {
        (core, precision) for core in ("cortex-a72", "all") for precision in ("f32", "all")
    }
    assert all(row["rows"] == 2 and row["error %"] == pytest.approx(15) for row in single)
    assert not any(row["met"] for row in found if row["threads"] == "several")
    (gain,) = comparison.gains(compared)
    assert gain["published gain"] == pytest.approx(123.8 / 60.7)
    assert gain["off %"] == pytest.approx(100 * (0.8 / 0.7 - 1)) and gain["met"]


def test_a_row_in_doubt_is_shown_and_counts_nowhere(tmp_path: Path) -> None:
    doubtful = [row for row in published.rows() if row.doubt]
    assert {"threads not stated"} <= {row.doubt for row in doubtful}
    assert all(row.doubt == "threads not stated" for row in doubtful if row.runtime == "ExecuTorch")
    row = next(row for row in published.rows() if row.ms == 123.8)
    pair = [msgspec.structs.replace(row, doubt="x"), msgspec.structs.replace(row, threads=4)]
    compared = [Compared(one, predicted=2 * one.ms, remark="y") for one in pair]
    assert [one[""] for one in comparison.shown(compared)] == ["x; y", "y"]
    assert {one["threads"] for one in comparison.errors(compared)} == {"several"}
    assert comparison.gains(compared) == [] and comparison.errors(compared[:1]) == []
    path = tmp_path / "validation.csv"
    path.write_bytes(totals.TABLE.read_bytes())
    comparison.record(compared[:1], path)
    assert path.read_bytes() == totals.TABLE.read_bytes()


def test_what_was_compared_replaces_its_row_in_the_table_of_ranges(tmp_path: Path) -> None:
    path = tmp_path / "validation.csv"
    path.write_bytes(totals.TABLE.read_bytes())
    comparison.record([], path)
    assert path.read_bytes() == totals.TABLE.read_bytes()
    (row,) = (row for row in published.rows() if row.ms == 123.8)
    comparison.record([Compared(row, predicted=99.0), Compared(row, why="no")], path)
    before, after = totals.read(), totals.read(path)
    assert len(after) == len(before)
    assert [new.predicted for old, new in zip(before, after, strict=True) if old != new] == [99.0]


def test_rows_are_chosen_by_what_they_say() -> None:
    choice = Choice(boards=("pi 5",), precisions=("fp16",), networks=("v3l",))
    assert {row.threads for row in filter(choice.takes, published.rows())} == {1, 4}
