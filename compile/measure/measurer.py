# SPDX-License-Identifier: Apache-2.0
"""What the tuner asks of whatever can put a cost on a configuration.

A local core, boards over RPC and a model of a core all answer through this one interface, so the
tuner cannot tell them apart; a log can, by `describe()`.
"""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from mnc.compile.records.trial import Trial

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask


class Measurer(Protocol):
    """Measures configurations of tasks. A context manager: leaving it frees what it holds."""

    @property
    def batch(self) -> int:
        """How many configurations at once suit it."""
        ...

    def measure(self, task: "TunableTask", configs: Sequence[Any]) -> Iterator[Trial]:
        """Yield one Trial a configuration (AutoTVM ConfigEntity), each as soon as it is known.

        Failures are trials too. Trials come in any order.
        """
        ...

    def describe(self) -> str:
        """Name, version and settings of the measurer, as logged with each trial."""
        ...

    def close(self) -> None:
        """Free what it holds; safe to call twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
