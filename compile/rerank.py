# SPDX-License-Identifier: Apache-2.0
"""The final step of tuning: times the best few configs of each task inside the real network.

Takes a model, its log and a `LayerClock`; adds trials to the log that say "in-network", which builds prefer
(`journal.ranked`), then builds the network that results and compares it with what they predict. Networks
take turns while they are timed, so that a change of the machine's clock meets all of them.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from compile import builder, contenders, importer, tasks
from compile.artifact import Artifact
from compile.contenders import Best, Options, Samples
from compile.journal import Journal, Trial
from compile.layer_clock import LayerClock
from compile.profile import Layer
from compile.tasks import TunableTask
from model.zoo import Model
from support.errors import UserError
from targets import Target

__all__ = ["Options", "Outcome", "Summary", "rerank"]

Say = Callable[[str], None]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A task's: the cost of its best config `alone`; in the network that config's, `before`, and the best
    one's, `after`; all seconds a call. `place` is the best one's when timed alone, from 1.
    """

    key: str
    kind: str
    shape: str
    tried: int
    alone: float
    before: float
    after: float
    place: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Of one inference, in seconds: `before` is the sum of all layers of the network whose configs are the
    best alone, no pair fused, `after` that of the one which results, timed in turns with it. `predicted` is
    the sum of the costs of the latter's tasks, all calls, as the log now has them, and `others` its layers
    that are no task. `drift` is what `before` takes over what it took when those costs were timed: how much
    slower the machine has become since.
    """

    tasks: tuple[Outcome, ...]
    before: float
    after: float
    predicted: float
    others: float
    drift: float
    networks: int
    seconds: float
    left_out: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        """How far the prediction is off, as a share of what was measured."""
        return (self.predicted + self.others) / self.after - 1


@dataclass(frozen=True)
class _Network:
    made: Artifact
    tasks: tuple[TunableTask, ...]
    used: Mapping[str, Trial]  # what it was built with, by task
    layers: list[Layer]
    runs: list[list[float]] = field(default_factory=list)  # seconds of each layer

    @property
    def medians(self) -> list[float]:
        """Seconds of each layer."""
        return [statistics.median(column) for column in zip(*self.runs, strict=True)]


def rerank(
    model: Model,
    target: Target,
    journal: Journal,
    clock: LayerClock,
    *,
    options: Options | None = None,
    say: Say = lambda _: None,
) -> Summary:
    """Add in-network trials of the best configs of every task that has verified records.

    `journal` must be open for adding. UserError when it has no records, or no network works.
    """
    chosen, started, when = options or Options(), time.monotonic(), time.time()
    found = tasks.extract_all(importer.import_model(model, target), target)
    best = contenders.contenders(journal.trials, found, clock.threads, chosen)
    if not best:
        raise UserError(
            f"{journal.path} has no verified records of {model.name} on {clock.threads} threads; tune first"
        )
    left_out: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mnc-rerank-") as name:
        workshop = _Workshop(model, target, clock, Path(name), say)
        tried = _tried(workshop, contenders.networks(best, found), left_out)
        say(f"timing the layers of {len(tried)} networks in turns")
        _take_turns(tried, clock, chosen)
        known = contenders.merged(
            contenders.samples(one.layers, one.runs, one.used, found) for one in tried
        )
        for trial in contenders.trials(best, known, measurer=clock.describe(), when=when):
            journal.append(trial)
        return _confirmed(
            workshop,
            journal.trials,
            tried[0],
            chosen,
            tasks=tuple(_outcomes(found, best, known)),
            networks=len(tried),
            started=started,
            left_out=tuple(left_out),
        )


@dataclass
class _Workshop:
    """Builds networks of one model, and opens them for timing."""

    model: Model
    target: Target
    clock: LayerClock
    folder: Path
    say: Say

    def make(self, trials: Sequence[Trial], what: str) -> _Network:
        self.say(f"compiling {self.model.name}, {what}")
        built = builder.build(self.model, self.target, trials)
        folder = self.folder / str(len(list(self.folder.iterdir())))
        made = builder.save(built, self.model, self.target, folder, spec=self.model.name)
        return _Network(made, built.tasks, built.used, self.clock.open(made))


def _tried(
    workshop: _Workshop, plans: Sequence[Sequence[Trial]], left_out: list[str]
) -> list[_Network]:
    networks = []
    for number, plan in enumerate(plans, start=1):
        what = f"network {number} of {len(plans)}"
        try:
            networks.append(workshop.make(plan, what))
        except UserError as error:
            left_out.append(f"{what}: {error}")
    if not networks:
        raise UserError(f"no network can be timed: {left_out[0]}")
    return networks


def _take_turns(networks: Sequence[_Network], clock: LayerClock, options: Options) -> None:
    """Run each in turn, there and back."""
    end = time.monotonic() + options.seconds
    order = [*networks, *reversed(networks)]
    while len(networks[0].runs) < options.runs:
        for network in order:
            network.runs.extend(clock.time(network.made, clock.turn))
        if time.monotonic() > end:
            break


def _confirmed(
    workshop: _Workshop,
    trials: Sequence[Trial],
    before: _Network,
    options: Options,
    *,
    tasks: tuple[Outcome, ...],
    networks: int,
    started: float,
    left_out: tuple[str, ...],
) -> Summary:
    """Build what the log now says, and time it in turns with `before`."""
    after = workshop.make(trials, "with the configs best in the network")
    once = sum(before.medians)
    before.runs.clear()
    _take_turns([before, after], workshop.clock, options)
    predicted, others = 0.0, 0.0
    keys = contenders.keys_of(after.layers, after.tasks)
    for key, seconds in zip(keys, after.medians, strict=True):
        trial = None if key is None else after.used.get(key)
        predicted += trial.cost if trial is not None else 0.0
        others += seconds if trial is None else 0.0
    return Summary(
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


def _outcomes(found: Sequence[TunableTask], best: Best, known: Samples) -> list[Outcome]:
    outcomes = []
    for task in found:
        costs = {index: statistics.median(some) for index, some in known.get(task.key, {}).items()}
        places = [trial.config.index for trial in best.get(task.key, ())]
        if costs and places[0] in costs:
            winner = min(costs, key=lambda index: costs[index])
            outcomes.append(
                Outcome(
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
