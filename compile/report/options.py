# SPDX-License-Identifier: Apache-2.0
"""What a person may say of a report."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReportOptions:
    """How to gather. `threads` are the thread counts to time, none: nothing is run. `seconds` is for each
    contestant; `before` also builds and times what there was before tuning.
    """

    logs: Path
    threads: tuple[int, ...] = (1,)
    seconds: float = 3.0
    before: bool = False
