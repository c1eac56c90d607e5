# SPDX-License-Identifier: Apache-2.0
"""Shows how the tuning goes: a live line on a terminal, a plain line a batch elsewhere.

Takes the tuner's TuningProgress as it changes; writes to a rich Console, which honours NO_COLOR.
"""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from mnc.compile.api import Observer, Trial, TuningProgress, TuningSummary


class Display(Observer):
    """Use as a context manager, so that the terminal is left in order however the search ends."""

    def __init__(self, *, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("tuning"), BarColumn(), MofNCompleteColumn(), console=self._console
        )
        self._row = self._bar.add_task("trials", total=None)
        self._live: Live | None = None
        self._last: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def on_start(self, state: TuningProgress) -> None:
        """The search begins: on a terminal, take a place to draw in."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=8, transient=True)
            self._live.start()

    def on_end(self, summary: TuningSummary) -> None:
        """The search has ended: leave the terminal to what comes next."""
        self._close()

    def on_batch(self, state: TuningProgress) -> None:
        """A batch begins: off a terminal, say how the one before ended."""
        self._print()
        self._refresh(state)

    def on_trial(self, state: TuningProgress, trial: Trial) -> None:
        """A trial is known."""
        if self._live is None:
            self._last = f"{state.trials}/{state.total} {describe(state)}"
        self._refresh(state)

    def _close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        self._print()

    def _refresh(self, state: TuningProgress) -> None:
        if self._live is None:
            return
        self._bar.update(self._row, total=state.total, completed=state.trials)
        table = Table.grid()
        table.add_row(self._bar)
        table.add_row(describe(state))
        self._live.update(table)

    def _print(self) -> None:
        if self._last is not None:
            self._console.print(self._last, soft_wrap=True, highlight=False, markup=False)
            self._last = None


def describe(state: TuningProgress) -> str:
    """One line: task, its trials, rates, failures, time left."""
    parts = [f"task {state.number}/{state.tasks} {state.task}: {state.task_trials} trials"]
    if state.gflops is not None:
        parts.append(f"now {state.gflops:.1f}")
    if state.best_gflops is not None:
        peak = state.peak_gflops
        share = f" ({state.best_gflops / peak:.0%} of peak)" if peak else ""
        parts.append(f"best {state.best_gflops:.1f} GFLOP/s{share}")
    if state.failures:
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(state.failures.items()))
        parts.append(f"failed: {counts}")
    if state.seconds_left is not None:
        parts.append(f"{clock(state.seconds_left)} left")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Minutes and seconds, 12:05; with hours when there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
