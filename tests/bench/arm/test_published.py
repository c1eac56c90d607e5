# SPDX-License-Identifier: Apache-2.0
"""Published latencies: the table is read, each row on its own board, and what is not run is said."""

from pathlib import Path

import pytest

from bench.arm import published
from bench.arm.published import Choice, Compared, Row
from mnc.support.errors import UserError


def test_every_row_has_a_core_and_a_network_that_is_known() -> None:
    rows = published.rows()
    assert len(rows) > 50
    for row in rows:
        target = published.target_of(row)
        assert (target.fast.cpu, target.fast.clock_ghz) == (row.core, row.ghz)
        assert row.network in published.NETWORKS and row.ms > 0 and row.threads <= target.fast.count


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


def test_errors_are_by_core_precision_and_threads() -> None:
    (pi,) = (row for row in published.rows() if "Pi 4" in row.board and row.ms == 123.8)
    (tengine,) = (row for row in published.rows() if "Pi 4" in row.board and row.ms == 125.7)
    assert "not run" in published.compare(tengine).why
    found = published.errors(
        [
            Compared(pi, predicted=1.1 * pi.ms),
            Compared(pi, predicted=0.8 * pi.ms),
            Compared(tengine, why="no"),
        ]
    )
    assert {row["core"] for row in found} == {"cortex-a72", "all"}
    assert all(row["rows"] == 2 and row["error %"] == pytest.approx(15) for row in found)


def test_rows_are_chosen_by_what_they_say() -> None:
    choice = Choice(boards=("pi 5",), precisions=("fp16",), networks=("v3l",))
    assert {row.threads for row in filter(choice.takes, published.rows())} == {1, 4}
