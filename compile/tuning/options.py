# SPDX-License-Identifier: Apache-2.0
"""What a person may ask for of a tuning: frozen structs, the same from Python and the command line."""

from pathlib import Path

import msgspec

from mnc.compile.device.options import DeviceOptions

TUNERS = ("xgb", "random", "grid", "ga")
TRIALS_PER_TASK = 64
PATIENCE = 16  # trials of a task without a better one, after which it is done with


class SearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to search. `trials` is the budget of all tasks together, those in the log included (None:
    TRIALS_PER_TASK for each, and a task is over once PATIENCE have brought nothing better); `tuner` is one of
    TUNERS. Every task gets `floor` at least. `force` measures anew what the log already has. After `seconds`
    (None: no limit) no further batch is begun.
    """

    trials: int | None = None
    tuner: str = "xgb"
    floor: int = 16
    force: bool = False
    seconds: float | None = None


class RerankOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`keep` configs of each task are tried: those whose cost alone is within `within` times the best one's.
    Each network is run `runs` times, or as often as fit into `seconds` for all of them.
    """

    keep: int = 4
    within: float = 1.25
    runs: int = 45
    seconds: float = 120.0


class TuningOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to tune a network, from the search to the choice of its family.

    `kinds` of tasks are tuned (None: all). `rerank` None leaves out that step. The best configs in the log of
    the target `like` are tried first. `logs` is where logs lie.
    """

    logs: Path
    search: SearchOptions = SearchOptions()
    device: DeviceOptions = DeviceOptions()
    rerank: RerankOptions | None = RerankOptions()
    kinds: tuple[str, ...] | None = None
    like: str | Path | None = None
