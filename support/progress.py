# SPDX-License-Identifier: Apache-2.0
"""What takes its time, said to whoever shows it: nobody, unless a program does as the command line does.

Takes a text that names the work; gives a context to do it in, and how long the same took the last time.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from mnc.support.errors import UserError
from mnc.support.files import cache_dir, write_atomic

Show = Callable[[str], contextlib.AbstractContextManager[object]]
LONGEST = 1e6  # seconds believed of the cache

_show: ContextVar[Show] = ContextVar("show", default=contextlib.nullcontext)


def working(text: str) -> contextlib.AbstractContextManager[object]:
    """A context for the work that `text` names, shown while it lasts by what `shown_by` was given."""
    return _show.get()(text)


@contextlib.contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Have `show` entered for all work of this thread meanwhile."""
    before = _show.set(show)
    try:
        yield
    finally:
        _show.reset(before)


def last_time(text: str) -> float | None:
    """Seconds that this work took when it was last kept; None where that is not known."""
    try:
        return min(float(_file(text).read_text()), LONGEST)
    except (OSError, UserError, ValueError):
        return None


def keep_time(text: str, seconds: float) -> None:
    """Remember how long it took; a cache that cannot be written costs the estimate only."""
    with contextlib.suppress(UserError):
        write_atomic(_file(text), f"{seconds:.3f}".encode())


def _file(text: str) -> Path:
    return cache_dir("durations") / hashlib.sha256(text.encode()).hexdigest()[:32]
