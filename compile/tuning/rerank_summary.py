# SPDX-License-Identifier: Apache-2.0
"""What came of trying configs in the real network, by task and as a whole."""

import msgspec


class RerankOutcome(msgspec.Struct, frozen=True, kw_only=True):
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


class RerankSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Of one inference, in seconds: `before` is the sum of all layers of the network whose configs are the
    best alone, no pair fused, `after` that of the one which results, timed in turns with it. `predicted` is
    the sum of the costs of the latter's tasks, all calls, as the log now has them, and `others` its layers
    that are no task. `drift` is what `before` takes over what it took when those costs were timed: how much
    slower the machine has become since.
    """

    tasks: tuple[RerankOutcome, ...]
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

    def __str__(self) -> str:
        """What came of it, in a line."""
        moved = sum(task.place > 1 for task in self.tasks)
        foretold = 1e3 * (self.predicted + self.others)
        apart = ", no pair fused" if any(task.kind == "fused" for task in self.tasks) else ""
        return (
            f"{moved} of {len(self.tasks)} tasks have another config in the network than alone; layers take "
            f"{self.before * 1e3:.3f} ms with those best alone{apart}, {self.after * 1e3:.3f} ms now; "
            f"the log predicts {foretold:.3f} ms ({100 * self.error:+.1f} %; the machine's speed changed by "
            f"{100 * (1 / self.drift - 1):+.1f} % meanwhile)"
        )
