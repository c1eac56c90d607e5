# SPDX-License-Identifier: Apache-2.0
"""Replays records: compiles each config (or takes it from the cache) and simulates it, in several processes.

Takes `Case`s; gives `Prediction`s in the same order. The outcome does not depend on the number of processes.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import msgspec

from bench.core_model import kernels
from bench.core_model.arithmetic import proportional, roofline
from bench.core_model.boards import MeasuredBoard, board_of
from bench.core_model.pricing import Price, price
from bench.core_model.selection import Case
from mnc.support.errors import UserError


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """A case with the model's price and the guesses from arithmetic, in seconds."""

    case: Case
    price: Price
    roofline: float
    proportional: float


class FailedReplay(msgspec.Struct, frozen=True):
    """A case that could not be compiled or simulated, and why."""

    case: Case
    why: str


ReplayOutcome = Prediction | FailedReplay


def replay(
    cases: Sequence[Case],
    *,
    jobs: int | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> list[ReplayOutcome]:
    """Price every case. `jobs` processes, by default one for each core this process may use.

    `tell(done, all)` is called after each. Raises UserError when no target describes a board.
    """
    for case in {case.record.model: case for case in cases}.values():
        board_of(case.record)
    jobs = jobs or len(os.sched_getaffinity(0))
    outcomes: list[ReplayOutcome] = []
    for outcome in _each(cases, jobs):
        outcomes.append(outcome)
        if tell is not None:
            tell(len(outcomes), len(cases))
    return outcomes


def _each(cases: Sequence[Case], jobs: int) -> Iterator[ReplayOutcome]:
    if jobs == 1:
        yield from map(predict, cases)
        return
    context = multiprocessing.get_context("spawn")  # TVM's threads do not survive a fork
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(predict, cases)


def predict(case: Case) -> ReplayOutcome:
    """Compile and price one case."""
    try:
        board = board_of(case.record)
        price_ = price(kernels.build(case.record, board), board)
    except UserError as error:
        return FailedReplay(case, f"{case.record.source}, {case.record.convolution}: {error}")
    return Prediction(
        case=case,
        price=price_,
        roofline=_guess(roofline, case, board),
        proportional=_guess(proportional, case, board),
    )


def _guess(formula: Callable[..., float], case: Case, board: MeasuredBoard) -> float:
    return formula(case.record.convolution, board.target, threads=board.threads)
