# SPDX-License-Identifier: Apache-2.0
"""Which config each kernel of a build gets: the log's best for this very device, or the default.

Takes Trials and a TVM target string; gives a DispatchContext that remembers which workloads fell
back. AutoTVM's own ApplyHistoryBest gives a model it does not know another device's records.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from tvm.autotvm.task.dispatcher import DispatchContext
from tvm.autotvm.task.space import FallbackConfigEntity

from mnc.compile.records.ranking import best_of_each, current
from mnc.compile.records.trial import Trial, target_model, task_key


class BestRecords(DispatchContext):  # type: ignore[misc]
    """Gives each workload the config of its best verified trial for `target`'s `-model`.

    `used` and `fell_back` are the keys of the workloads asked for that had a record and that had
    none. Relay asks for every template that could implement an operator, so `fell_back` holds
    some that the build did not use.
    """

    def __init__(self, trials: Iterable[Trial], target: str, *, tasks: Sequence[Any] = ()) -> None:
        super().__init__()
        self.model = target_model(target)
        self.used: dict[str, Trial] = {}
        self.fell_back: dict[str, None] = {}
        ours = [t for t in trials if self.model is not None and t.model == self.model]
        known = {task_key(task.name, task.args): task for task in tasks}

        def is_fresh(trial: Trial) -> bool:
            task = known.get(trial.key)
            return task is None or bool(current([trial], task))

        self._best = best_of_each(ours, accept=is_fresh)
        self._configs: dict[tuple[str | None, str], Any] = {}

    def best(self, key: str) -> Trial | None:
        """The record that the workload of this key will be built with; None: the template's default."""
        return self._best.get(key)

    def update(self, target: Any, workload: Any, cfg: Any) -> None:
        """Remember the config of an operator that TVM replaced."""
        self._configs[_model(target), task_key(workload[0], workload[1:])] = cfg

    def _query_inside(self, target: Any, workload: Any) -> Any:
        model = _model(target)
        key = task_key(workload[0], workload[1:])
        if (model, key) not in self._configs:
            self._configs[model, key] = self._config(model, key)
        return self._configs[model, key]

    def _config(self, model: str | None, key: str) -> Any:
        trial = self._best.get(key) if model is not None and model == self.model else None
        if trial is not None:
            try:
                config = trial.config.to_entity()
            except ValueError:
                trial = None  # a line edited by hand
            else:
                config.cost = trial.cost
                self.used[key] = trial
                return config
        self.fell_back[key] = None
        return FallbackConfigEntity()


def _model(target: Any) -> str | None:
    return None if target is None else target_model(str(target))
