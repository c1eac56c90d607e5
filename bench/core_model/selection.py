# SPDX-License-Identifier: Apache-2.0
"""Which of a board's records are replayed, and as what: the network's, the pairs', or all.

Takes `BoardLog`s; gives `Case`s, each config of each workload once.
"""

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from bench.core_model.convolution import mobilenet_calls
from bench.core_model.records import BoardLog, BoardRecord
from bench.core_model.statistics import APART


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A config of a workload on a board.

    `record` is its fastest, `seconds` the median of its records. `calls` is how often MobileNet v1 runs it
    if it is the fastest of its workload, else 0; `paired` says that another config of the workload differs
    enough to be ranked against.
    """

    record: BoardRecord
    seconds: float
    calls: int
    paired: bool


def cases_of(logs: Iterable[BoardLog], *, everything: bool) -> dict[str, tuple[Case, ...]]:
    """The cases of each board, by the board's name in the logs, in the order of the logs."""
    boards: dict[str, list[BoardRecord]] = {}
    for log in logs:
        boards.setdefault(log.model, []).extend(log.records)
    return {
        model: tuple(
            case for case in _cases(records) if everything or case.calls > 0 or case.paired
        )
        for model, records in boards.items()
    }


def _cases(records: Sequence[BoardRecord]) -> list[Case]:
    workloads: dict[object, dict[str, list[BoardRecord]]] = {}
    for record in records:
        configs = workloads.setdefault((record.template, record.convolution), {})
        configs.setdefault(record.knobs, []).append(record)
    network, cases = mobilenet_calls(), []
    for configs in workloads.values():
        same = [sorted(one, key=lambda record: record.seconds) for one in configs.values()]
        costs = [statistics.median(record.seconds for record in one) for one in same]
        first = costs.index(min(costs))
        for index, (one, cost) in enumerate(zip(same, costs, strict=True)):
            calls = network.get(one[0].convolution, 0) if index == first else 0
            paired = any(_apart(cost, other) for other in costs)
            cases.append(Case(record=one[0], seconds=cost, calls=calls, paired=paired))
    return cases


def _apart(one: float, other: float) -> bool:
    return max(one, other) > APART * min(one, other)
