# SPDX-License-Identifier: Apache-2.0
"""The Python API: `from mnc import tune, build, load`; docs/api.md shows them at work.

`tune` fills a log, `build` makes an artifact folder with the log's best records, `load` opens one to run
it. They take the names that the command line takes, and raise UserError with what to do next. The command
line calls these functions and no others.
"""

from mnc.compile.api.building import build
from mnc.compile.api.named import LOGS, OUT
from mnc.compile.api.running import load
from mnc.compile.api.tuning import choose_family, open_measurer, rerank, select_tasks, tune

__all__ = [
    "LOGS",
    "OUT",
    "build",
    "choose_family",
    "load",
    "open_measurer",
    "rerank",
    "select_tasks",
    "tune",
]
