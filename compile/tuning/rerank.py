# SPDX-License-Identifier: Apache-2.0
"""The final step of tuning: times the best few configs of each task inside the real network.

Takes a model, its log and a device's `LayerTimer`; adds trials to the log that say "in-network", which
builds prefer (`ranking.ranked`), then builds the network that results and compares it with what they predict.
Networks take turns while they are timed, so that a change of the machine's clock meets all of them.
"""

import logging
import statistics
import time
from collections.abc import Sequence

from mnc.compile.codegen.network import Prepared
from mnc.compile.device.device import LayerTimer
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.trial import Trial
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning import rerank_candidates
from mnc.compile.tuning.options import RerankOptions
from mnc.compile.tuning.rerank_candidates import Best, Samples
from mnc.compile.tuning.rerank_networks import NetworkBuilder, TimedNetwork
from mnc.compile.tuning.rerank_summary import RerankOutcome, RerankSummary
from mnc.model.zoo import Model
from mnc.support.errors import UserError

logger = logging.getLogger(__name__)


def rerank(
    model: Model,
    prepared: Prepared,
    tuning_log: TuningLog,
    timer: LayerTimer,
    *,
    options: RerankOptions | None = None,
) -> RerankSummary:
    """Add in-network trials of the best configs of every task of `prepared`, the imported `model`, that has
    verified records.

    `tuning_log` must be open for adding. UserError when it has no records, or no network works.
    """
    chosen, started, when = options or RerankOptions(), time.monotonic(), time.time()
    found = prepared.tasks
    best = rerank_candidates.rerank_candidates(tuning_log.trials, found, timer.threads, chosen)
    if not best:
        raise UserError(
            f"{tuning_log.path} has no verified records of {model.name} on {timer.threads} threads; "
            "tune first"
        )
    left_out: list[str] = []
    plans = rerank_candidates.networks(best, found)
    with NetworkBuilder(model, prepared, timer, len(plans)) as builder:
        tried = _tried(builder, plans, left_out)
        logger.info("timing the layers of %d networks in turns", len(tried))
        _take_turns(tried, timer, chosen)
        known = rerank_candidates.merged(
            rerank_candidates.samples(one.layers, one.runs, one.used) for one in tried
        )
        # All at once: a log never has half of a reranking.
        tuning_log.append(
            *rerank_candidates.trials(best, known, measurer=timer.describe(), when=when)
        )
        (after,) = builder.make([tuning_log.trials])
        if isinstance(after, UserError):
            raise after
        return _confirmed(
            tried[0],
            after,
            timer,
            chosen,
            tasks=tuple(_outcomes(found, best, known)),
            networks=len(tried),
            started=started,
            left_out=tuple(left_out),
        )


def _tried(
    builder: NetworkBuilder, plans: Sequence[Sequence[Trial]], left_out: list[str]
) -> list[TimedNetwork]:
    networks = []
    for number, one in enumerate(builder.make(plans), start=1):
        if isinstance(one, UserError):
            left_out.append(f"network {number} of {len(plans)}: {one}")
        else:
            networks.append(one)
    if not networks:
        raise UserError(f"no network can be timed: {left_out[0]}")
    return networks


def _take_turns(
    networks: Sequence[TimedNetwork], timer: LayerTimer, options: RerankOptions
) -> None:
    """Run each in turn, there and back."""
    end = time.monotonic() + options.seconds
    order = [*networks, *reversed(networks)]
    while len(networks[0].runs) < options.runs:
        for network in order:
            network.runs.extend(timer.time(network.made, timer.turn))
        if time.monotonic() > end:
            break


def _confirmed(
    before: TimedNetwork,
    after: TimedNetwork,
    timer: LayerTimer,
    options: RerankOptions,
    *,
    tasks: tuple[RerankOutcome, ...],
    networks: int,
    started: float,
    left_out: tuple[str, ...],
) -> RerankSummary:
    """Time what is built of the log now, `after`, in turns with `before`."""
    once = sum(before.medians)
    before.runs.clear()
    _take_turns([before, after], timer, options)
    predicted, others = 0.0, 0.0
    for layer, seconds in zip(after.layers, after.medians, strict=True):
        trial = None if layer.key is None else after.used.get(layer.key)
        predicted += trial.cost if trial is not None else 0.0
        others += seconds if trial is None else 0.0
    return RerankSummary(
        tasks=tasks,
        before=sum(before.medians),
        after=sum(after.medians),
        predicted=predicted,
        others=others,
        drift=sum(before.medians) / once,
        networks=networks,
        seconds=time.monotonic() - started,
        left_out=left_out,
    )


def _outcomes(found: Sequence[TunableTask], best: Best, known: Samples) -> list[RerankOutcome]:
    outcomes = []
    for task in found:
        costs = {index: statistics.median(some) for index, some in known.get(task.key, {}).items()}
        places = [trial.config.index for trial in best.get(task.key, ())]
        if costs and places[0] in costs:
            winner = min(costs, key=lambda index: costs[index])
            outcomes.append(
                RerankOutcome(
                    key=task.key,
                    kind=task.kind,
                    shape=task.shape,
                    tried=len(costs),
                    alone=best[task.key][0].cost,
                    before=costs[places[0]],
                    after=costs[winner],
                    place=1 + places.index(winner),
                )
            )
    return outcomes
