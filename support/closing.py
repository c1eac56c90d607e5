# SPDX-License-Identifier: Apache-2.0
"""What everything that must be closed shares: a `with` block that closes it at its end.

Takes a class with `close()`; gives it the two methods of a context manager.
"""

from types import TracebackType
from typing import Self


class Closing:
    """A context manager whose end is `close()`."""

    def close(self) -> None:
        """Free what it holds; safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
