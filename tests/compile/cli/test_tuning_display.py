# SPDX-License-Identifier: Apache-2.0
"""Where a tune stands: drawn over in one place on a terminal, a plain line a batch elsewhere."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from mnc.compile.cli.tuning_display import Display, clock, describe
from mnc.compile.measure.local import LocalMeasurer
from mnc.compile.measure.options import LocalOptions
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.options import SearchOptions
from mnc.compile.tuning.progress import TuningProgress
from mnc.compile.tuning.tuner import tune
from tests.compile import tuning_tasks


def state() -> TuningProgress:
    return TuningProgress(
        tasks=9,
        trials=32,
        total=200,
        task="pointwise 64->64 14x14",
        number=2,
        task_trials=16,
        gflops=50.04,
        best_gflops=80.0,
        peak_gflops=100.0,
        failures=Counter(wrong=1, compile=2),
        seconds_left=725.0,
    )


@pytest.fixture(scope="module")
def measurer() -> Iterator[LocalMeasurer]:
    with LocalMeasurer(tuning_tasks.host(), options=LocalOptions(budget=0.005)) as one:
        yield one


def tuned(log: Path, display: Display, measurer: LocalMeasurer) -> None:
    """Twenty trials of a small task, shown on the display."""
    target = tuning_tasks.host()
    task = tuning_tasks.pointwise_task(target, inputs=64, outputs=128, size=14)
    with (
        TuningLog.open(log, exclusive=True, target=target.tvm_target()) as tuning_log,
        display,
    ):
        options = SearchOptions(trials=20)
        tune([task], target, tuning_log, measurer, options=options, observer=display)


def test_a_line_tells_where_it_stands() -> None:
    assert describe(state()) == (
        "task 2/9 pointwise 64->64 14x14: 16 trials, now 50.0, best 80.0 GFLOP/s (80% of peak), "
        "failed: 2 compile, 1 wrong, 12:05 left"
    )
    assert clock(3725.4) == "1:02:05"


def test_off_a_terminal_each_batch_is_a_plain_line(tmp_path: Path, measurer: LocalMeasurer) -> None:
    out = io.StringIO()
    tuned(tmp_path / "log", Display(console=Console(file=out, width=60)), measurer)
    lines = out.getvalue().splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["16/20", "20/20"]
    assert "\x1b" not in out.getvalue() and "0:00 left" in lines[-1]


def test_on_a_terminal_one_place_is_drawn_over(tmp_path: Path, measurer: LocalMeasurer) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, no_color=True)
    tuned(tmp_path / "log", Display(console=console), measurer)
    assert "20/20" in out.getvalue() and "GFLOP/s" in out.getvalue()
    assert "\x1b[3" not in out.getvalue().replace("\x1b[3A", "")  # no colour
