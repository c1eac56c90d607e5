# SPDX-License-Identifier: Apache-2.0
"""Says on a terminal what takes its time, and about how much longer, going by the last time it did.

Takes a text that names the work; draws one line on stderr while it lasts. Off a terminal: nothing.
"""

import contextlib
import time
from collections.abc import Iterator

import rich.console
from rich.live import Live
from rich.spinner import Spinner

from mnc.compile.api import progress

WORTH_KEEPING = 0.5  # seconds


@contextlib.contextmanager
def working(text: str, terminal: rich.console.Console) -> Iterator[None]:
    """Show `text` and the time left while the block runs."""
    if not terminal.is_terminal:
        yield
        return
    started = time.monotonic()
    with Live(_Line(text, started), console=terminal, refresh_per_second=8, transient=True):
        yield
    seconds = time.monotonic() - started
    if seconds > WORTH_KEEPING:
        progress.keep_time(text, seconds)


class _Line:
    """Redrawn by rich: the spinner turns and the seconds count down."""

    def __init__(self, text: str, started: float) -> None:
        self._text, self._started = text, started
        self._expected = progress.last_time(text)
        self._spinner = Spinner("dots")

    def __rich__(self) -> Spinner:
        elapsed = time.monotonic() - self._started
        self._spinner.update(text=f"{self._text}{time_left(elapsed, self._expected)}")
        return self._spinner


def time_left(elapsed: float, expected: float | None) -> str:
    """ ", about 7 s left", or how long it has been when that is not known or already over."""
    if expected is None or elapsed > expected:
        return f", {elapsed:.0f} s so far" if elapsed > 1 else ""
    return f", about {max(1, expected - elapsed):.0f} s left"
