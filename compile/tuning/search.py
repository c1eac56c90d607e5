# SPDX-License-Identifier: Apache-2.0
"""One task's search: which configurations to try next, given all that was tried.

Takes a tuner's name and the log's trials; gives configurations never tried before. AutoTVM's tuners
do the thinking (XGBoost cost model, random, grid, genetic); this drives their ask/tell.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tvm import autotvm
from tvm.autotvm.task.space import FallbackConfigEntity

from mnc.compile.records.trial import ERROR_NUMBERS, FAILED_COST, Trial
from mnc.compile.tuning.options import TUNERS
from mnc.support.errors import UserError

PLAN = 16  # trials between two fits of the cost model
SEED_TRIALS = 16  # fewer trials of similar tasks teach nothing
GENES = 32  # a generation must fit a small budget


class Search:
    """Asks for configurations and learns from their trials. `known` are this task's old trials, `first`
    configs to ask for before any that the tuner thinks of.
    """

    def __init__(
        self,
        task: Any,
        *,
        tuner: str = "xgb",
        known: Iterable[Trial] = (),
        first: Iterable[Any] = (),
    ) -> None:
        self.task = task
        self._first = list(first)
        self._tuner = make_tuner(tuner, task)
        self._results: dict[int, tuple[Any, Any]] = {}
        self._asked: set[int] = set()
        self._echoes: Counter[int] = Counter()
        self.tell(known)

    @property
    def done(self) -> int:
        """Configurations tried, in this session and before."""
        return len(self._results)

    @property
    def exhausted(self) -> bool:
        """Whether the space holds nothing untried."""
        return self.done >= len(self.task.config_space)

    def learn_from(self, pairs: list[tuple[Any, Any]]) -> None:
        """Feed the cost model with trials of other tasks: (MeasureInput, MeasureResult) pairs."""
        if pairs:
            self._tuner.load_history(pairs, min_seed_records=SEED_TRIALS)

    def ask(self, count: int) -> list[Any]:
        """Up to `count` configurations (ConfigEntity) that were never asked for or tried."""
        fresh = [config for config in self._default(count) if self._is_new(config)]
        while self._first and len(fresh) < count:
            config = self._first.pop(0)
            fresh += [config] if config.index not in self._asked and self._is_new(config) else []
        dry = 0
        # A genetic search may ask again for what it knows: it gets the old answer at once.
        while len(fresh) < count and dry < 20 and self._tuner.has_next():
            proposed = self._tuner.next_batch(count - len(fresh))
            new = [config for config in proposed if self._is_new(config)]
            fresh += new
            dry = 0 if new else dry + 1
        return fresh + self._leftovers(count - len(fresh))

    def _default(self, count: int) -> list[Any]:
        """The template's default, before anything else: a build without records would use it, so a record
        must have beaten it.
        """
        config = None if self._asked or count < 1 else default_config(self.task)
        return [] if config is None else [config]

    def tell(self, trials: Iterable[Trial]) -> None:
        """Learn what came of configurations; a later trial of one takes the place of an earlier."""
        fresh = {trial.config.index: trial for trial in trials if trial.error != "device"}
        pairs = []
        for index, trial in fresh.items():
            self._asked.add(index)
            self._results[index] = as_pair(self.task, trial)
            pairs += [self._results[index]] * (1 + self._echoes.pop(index, 0))
        if pairs:
            self._tuner.update([given for given, _ in pairs], [result for _, result in pairs])

    def _is_new(self, config: Any) -> bool:
        if config.index in self._results:
            given, result = self._results[config.index]
            self._tuner.update([given], [result])
            return False
        if config.index in self._asked:
            self._echoes[config.index] += 1
            return False
        self._asked.add(config.index)
        return True

    def _leftovers(self, count: int) -> list[Any]:
        """Configurations that the tuner will not come to by itself."""
        space = self.task.config_space
        found: list[Any] = []
        while len(found) < count and len(self._asked) < len(space):
            config = space.get(space.get_rand_index(to_exclude=self._asked))
            self._asked.add(config.index)
            found.append(config)
        return found


def default_config(task: Any) -> Any:
    """The point of the task's space that an untuned build uses; None where the default is no such point."""
    fallback = FallbackConfigEntity()
    try:
        with task.target:
            task.instantiate(fallback)
    except Exception:  # a template of somebody else's may have no default for this shape
        return None
    wanted = {name: str(entity) for name, entity in fallback._entity_map.items()}
    space = task.config_space
    for index in filter(space.is_index_valid, range(space.range_length)):
        config = space.get(index)
        if {name: str(entity) for name, entity in config._entity_map.items()} == wanted:
            return config
    return None


def make_tuner(name: str, task: Any) -> Any:
    """The AutoTVM tuner called `name`; UserError when there is none."""
    if name == "xgb":
        from tvm.autotvm.tuner.model_based_tuner import ModelBasedTuner

        from mnc.compile.tuning.cost_model import BestOfSpace, KnobModel

        return ModelBasedTuner(task, KnobModel(task), BestOfSpace(task), plan_size=PLAN)
    if name == "random":
        return autotvm.tuner.RandomTuner(task)
    if name == "grid":
        return autotvm.tuner.GridSearchTuner(task)
    if name == "ga":
        return autotvm.tuner.GATuner(task, pop_size=GENES)
    raise UserError(f"unknown tuner {name!r}; choose one of {', '.join(TUNERS)}")


def as_pair(task: Any, trial: Trial) -> tuple[Any, Any]:
    """AutoTVM's (MeasureInput, MeasureResult) of a trial of `task`."""
    given = autotvm.MeasureInput(task.target, task, trial.config.to_entity())
    failed = trial.error is not None
    result = autotvm.MeasureResult(
        (FAILED_COST,) if failed else (trial.cost,),
        ERROR_NUMBERS[trial.error] if trial.error is not None else 0,
        trial.seconds,
        trial.when,
    )
    return given, result
