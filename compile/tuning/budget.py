# SPDX-License-Identifier: Apache-2.0
"""How many trials each task gets: its share of the network's run time, with a floor.

Takes what is known or guessed of each task's time; gives each task's allowance and which to tune
next. Asked again after every batch, so that allowances follow the costs as they become known.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

# Only ratios of guesses matter: a core that does 50 GFLOP/s on what it moves at 10 GB/s.
GUESSED_FLOPS = 50e9
GUESSED_BANDWIDTH = 10e9


class Standing(msgspec.Struct, frozen=True):
    """Where a task stands. `seconds` is its time in one inference, all calls together; `done` its
    trials so far; `space` the size of its config space.
    """

    key: str
    seconds: float
    done: int
    space: int


def guess_seconds(macs: int, args: Any) -> float:
    """Seconds of one call of an untuned task, from its arithmetic and the bytes of its tensors."""
    return 2 * macs / GUESSED_FLOPS + _tensor_bytes(args) / GUESSED_BANDWIDTH


def allowances(standings: Sequence[Standing], *, total: int, floor: int) -> dict[str, int]:
    """Trials for each task, by key: in proportion to `seconds`, at least `floor`, at most `space`.

    They add up to `total` unless the spaces hold fewer. A `total` too small for the floors is
    spread evenly.
    """
    limits = {one.key: one.space for one in standings}
    weights = {one.key: max(one.seconds, 1e-12) for one in standings}
    total = min(total, sum(limits.values()))
    floor = min(floor, total // max(1, len(standings)))
    given = {key: min(floor, limit) for key, limit in limits.items()}
    while (left := total - sum(given.values())) > 0:
        open_keys = [key for key in given if given[key] < limits[key]]
        # A task whose floor is more than its share takes no part of what is left.
        want = _fair(open_keys, weights, sum(given[key] for key in open_keys) + left)
        short = {key: want[key] - given[key] for key in open_keys if want[key] > given[key]}
        gain = sum(short.values())
        for key in sorted(short, key=lambda k: -short[k]):
            extra = math.ceil(left * short[key] / gain)
            room = min(limits[key] - given[key], total - sum(given.values()))
            given[key] += max(0, min(extra, room))
    return given


def choose(standings: Sequence[Standing], *, total: int, floor: int) -> str | None:
    """The key of the task furthest behind its allowance; None when the budget is spent."""
    spent = sum(one.done for one in standings)
    if spent >= total:
        return None
    given = allowances(standings, total=total, floor=floor)
    behind = [one for one in standings if one.done < min(given[one.key], one.space)]

    # Share still missing: every task gets its first trials before any gets its last.
    def missing(one: Standing) -> tuple[float, float]:
        return (given[one.key] - one.done) / given[one.key], one.seconds

    return max(behind, key=missing).key if behind else None


def _fair(keys: Iterable[str], weights: dict[str, float], amount: int) -> dict[str, float]:
    keys = list(keys)
    whole = sum(weights[key] for key in keys)
    return {key: amount * weights[key] / whole for key in keys}


def _tensor_bytes(args: Any) -> int:
    if not isinstance(args, list | tuple):
        return 0
    if len(args) == 3 and args[0] == "TENSOR":
        return 4 * math.prod(args[1])
    return sum(_tensor_bytes(arg) for arg in args)
