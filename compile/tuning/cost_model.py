# SPDX-License-Identifier: Apache-2.0
"""The cost model behind the search: boosted trees over knobs and the task's shape.

Takes measured configurations, of the task and of others of its template; gives predicted speeds.
An AutoTVM CostModel. AutoTVM's own starts a pool of processes at every fit; knobs need none.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xgboost
from tvm.autotvm.task.space import (
    AnnotateEntity,
    OtherOptionEntity,
    ReorderEntity,
    SplitEntity,
)
from tvm.autotvm.tuner.model_based_tuner import CostModel, ModelOptimizer

Array = np.ndarray[Any, Any]

ROUNDS = 80
PARAMETERS = {
    "max_depth": 5,
    "eta": 0.15,
    "min_child_weight": 1,
    "subsample": 0.9,
    "objective": "reg:squarederror",
    "verbosity": 0,
    "nthread": 1,
    "seed": 0,
}
FOREIGN_WEIGHT = 0.3  # of another task's sample against one of our own
ENUMERATE = 20_000  # spaces up to this size are predicted whole
SAMPLE = 4096  # configurations predicted of a larger one


class KnobModel(CostModel):  # type: ignore[misc]
    """Predicts speed relative to the best known, 0 to about 1, of indices of `task`'s space."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self._task = task
        self._shape = shape_features(task.args)
        self._cache: dict[int, list[float]] = {}
        self._foreign: tuple[list[list[float]], list[float]] = ([], [])
        self._trees: Any = None

    def fit(self, xs: Sequence[int], ys: Sequence[float], plan_size: int) -> None:
        """Fit to `ys`, speeds (flop/s; 0: failed) of indices `xs`, and to what was transferred."""
        own = [self._features(index) for index in xs]
        rows, labels = self._foreign
        best = max(ys, default=0.0) or 1.0
        targets = [y / best for y in ys] + labels
        weights = [1.0] * len(own) + [FOREIGN_WEIGHT] * len(rows)
        data = xgboost.DMatrix(_matrix(own + rows), label=targets, weight=weights)
        self._trees = xgboost.train(PARAMETERS, data, num_boost_round=ROUNDS)

    def predict(self, xs: Iterable[int], output_margin: bool = False) -> Array:
        """Predicted relative speeds of the indices `xs`."""
        rows = _matrix([self._features(index) for index in xs], self._trees.num_features())
        return np.asarray(self._trees.predict(xgboost.DMatrix(rows)))

    def fit_log(self, records: Iterable[Any], plan_size: int, min_seed_records: int = 16) -> bool:
        """Fit to (MeasureInput, MeasureResult) pairs of tasks of the same template.

        Whether there were enough: at least `min_seed_records`.
        """
        by_task: dict[str, list[tuple[list[float], float]]] = {}
        for given, result in records:
            if given.task.name == self._task.name:
                row = knob_features(given.config) + shape_features(given.task.args)
                speed = 1.0 / float(np.mean(result.costs)) if result.error_no == 0 else 0.0
                by_task.setdefault(str(given.task.args), []).append((row, speed))
        rows, labels = self._foreign = ([], [])
        for samples in by_task.values():
            best = max(speed for _, speed in samples) or 1.0
            rows += [row for row, _ in samples]
            labels += [speed / best for _, speed in samples]
        if len(rows) < max(1, min_seed_records):
            return False
        self.fit([], [], plan_size)
        return True

    def load_basemodel(self, base_model: "KnobModel") -> None:
        """Learn from what `base_model` was fitted to as well, from the next fit on."""
        self._foreign = base_model._foreign

    def spawn_base_model(self) -> "KnobModel":
        """An empty model of the same task."""
        return KnobModel(self._task)

    def _features(self, index: int) -> list[float]:
        index = int(index)
        if index not in self._cache:
            entity = self._task.config_space.get(index)
            self._cache[index] = knob_features(entity) + self._shape
        return self._cache[index]


class BestOfSpace(ModelOptimizer):  # type: ignore[misc]
    """Picks the best predicted configurations, every eighth one at random to keep learning."""

    def __init__(self, task: Any, *, seed: int = 0) -> None:
        super().__init__()
        self._space = task.config_space
        self._random = np.random.default_rng(seed)
        self._all: list[int] | None = None
        if self._space.range_length <= ENUMERATE:
            self._all = [i for i in range(self._space.range_length) if self._valid(i)]

    def find_maximums(self, model: KnobModel, num: int, exclusive: set[int]) -> list[int]:
        """`num` indices not in `exclusive` (or all there are), the most promising first."""
        pool = [i for i in self._candidates(exclusive) if i not in exclusive]
        if not pool:
            return []
        order = np.argsort(-model.predict(pool), kind="stable")
        chosen = [pool[i] for i in order[: num - num // 8]]
        rest = [pool[i] for i in order[len(chosen) :]]
        extra = self._random.permutation(len(rest))[: num - len(chosen)]
        return chosen + [rest[i] for i in extra]

    def _candidates(self, visited: set[int]) -> list[int]:
        if self._all is not None:
            return self._all
        near = [self._space.random_walk(index) for index in visited for _ in range(4)]
        return list({*self._space.sample_ints(SAMPLE), *near[-SAMPLE:]})

    def _valid(self, index: int) -> bool:
        return bool(self._space.is_index_valid(index))


def knob_features(entity: Any) -> list[float]:
    """A configuration's knobs as numbers, in the order in which the template defines them."""
    features: list[float] = []
    for value in entity._entity_map.values():
        if isinstance(value, SplitEntity):
            features += [float(size) for size in value.size]
        elif isinstance(value, ReorderEntity):
            features += [float(axis) for axis in value.perm]
        elif isinstance(value, AnnotateEntity):
            features += [_number(annotation) for annotation in value.anns]
        elif isinstance(value, OtherOptionEntity):
            features.append(_number(value.val))
    return features


def shape_features(args: Any) -> list[float]:
    """The integers among a task's arguments: what tells apart tasks of one template."""
    if isinstance(args, list | tuple):
        return [number for arg in args for number in shape_features(arg)]
    return [float(args)] if isinstance(args, int) else []


def _number(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    return float(zlib.crc32(str(value).encode()) % 1009)  # any fixed code: trees can split on it


def _matrix(rows: list[list[float]], width: int = 0) -> Array:
    """Rows of unlike length side by side: what one lacks is missing (NaN), as trees can handle."""
    width = width or max(map(len, rows))
    table = np.full((len(rows), width), np.nan, np.float32)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row[:width]
    return table
