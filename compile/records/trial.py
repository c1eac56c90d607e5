# SPDX-License-Identifier: Apache-2.0
"""One measured candidate: what the tuner learns from, logs keep and builds choose among.

Takes autotvm's tasks and config entities; gives `Trial`s, plain frozen values. Importing this is
cheap; only what makes or needs autotvm's own objects imports tvm.
"""

import math
import re
import statistics
import time
from typing import Annotated, Any, Literal, get_args

import msgspec

INTEGERS = "_int8_"  # in the names of templates for them
PAD_VALUE = 5  # of their arguments
FAILED_COST = 1e9  # what AutoTVM writes as the cost of a failure
EMULATED = "emulated"  # a word of the measurer's description
IN_NETWORK = (
    "in-network"  # another: timed as a layer of the whole network (compile/tuning/rerank.py)
)
SIMULATED = "simulated"  # how the description of a measurer that is a model of a core begins
MODEL = re.compile(r"(?:^|\s)-model=(\S+)")

Failure = Literal["compile", "timeout", "crash", "wrong", "run", "device"]
FAILURES: tuple[str, ...] = get_args(Failure)
# AutoTVM's MeasureErrorNo for each.
ERROR_NUMBERS = {"compile": 2, "crash": 4, "run": 4, "wrong": 5, "timeout": 7, "device": 8}
KnobType = Literal["sp", "re", "an", "ot"]
Index = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
# The kinds of knobs a ConfigEntity can hold (split, reorder, annotation, other) and their values.
KNOB_VALUES: dict[str, Any] = {
    "sp": list[int],
    "re": list[int],
    "an": list[str],
    "ot": str | int | float | bool | list[int] | None,
}


class Config(msgspec.Struct, frozen=True, gc=False):
    """A point of a task's config space: its index, and its knobs as the JSON text AutoTVM logs."""

    index: Index
    code_hash: str | None
    entity: msgspec.Raw

    @classmethod
    def of(cls, entity: Any) -> "Config":
        """The `Config` of an autotvm ConfigEntity."""
        fields = entity.to_json_dict()
        knobs = msgspec.Raw(msgspec.json.encode(fields["entity"]))
        return cls(index=fields["index"], code_hash=fields["code_hash"], entity=knobs)

    def as_json(self) -> dict[str, Any]:
        """Index, code hash and knobs as plain JSON values; ValueError as `knobs`."""
        return {"index": self.index, "code_hash": self.code_hash, "entity": self.knobs()}

    def knobs(self) -> tuple[tuple[str, str, Any], ...]:
        """(name, type, value) of each knob; ValueError when the text is not a config's."""
        try:
            knobs = msgspec.json.decode(self.entity, type=list[tuple[str, KnobType, Any]])
            return tuple(
                (name, kind, msgspec.convert(value, KNOB_VALUES[kind]))
                for name, kind, value in knobs
            )
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ValueError(f"not the knobs of a config: {error}") from None

    def to_entity(self) -> Any:
        """The autotvm ConfigEntity; ValueError when the text is not a config's."""
        from tvm.autotvm.task.space import ConfigEntity

        return ConfigEntity.from_json_dict(self.as_json())


class Trial(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What came of one config of one task.

    `key` is the task's stable id. `args` is the task's arguments as AutoTVM's workload has them
    (nested tuples). `target` is a TVM target string. `costs` are seconds a call, empty when the
    trial failed (`error` then says how). `when` is Unix time in seconds. Only a `verified` trial,
    one whose kernel's output was found right before it was timed, may be used in a build (a `simulated`
    one's is checked on the machine that simulates). The error "device" means that the device failed, not
    the config: such a trial measured nothing.
    """

    key: str
    name: str
    args: tuple[Any, ...]
    target: str
    config: Config
    costs: tuple[float, ...] = ()
    error: Failure | None = None
    message: str = ""
    when: float
    measurer: str
    threads: int = 1
    verified: bool = False
    seconds: float = 0.0  # spent on the whole trial, compiling included

    @property
    def cost(self) -> float:
        """Median seconds a call; infinite for a failure."""
        if self.error is not None or not self.costs:
            return math.inf
        return statistics.median(self.costs)

    @property
    def emulated(self) -> bool:
        """Whether it was timed under emulation, which says nothing about any real core."""
        return EMULATED in self.measurer.split()

    @property
    def simulated(self) -> bool:
        """Whether a model of the core worked it out. Such costs compare with others of the same model only:
        never, by number, with a real device's.
        """
        return self.measurer.startswith(SIMULATED)

    @property
    def in_network(self) -> bool:
        """Whether it was timed within the running network, not alone. Trials of one reranking, whose costs
        can be compared, have the same `when`.
        """
        return IN_NETWORK in self.measurer.split()

    @property
    def workload(self) -> tuple[Any, ...]:
        """AutoTVM's workload: the name, then the arguments."""
        return (self.name, *self.args)

    @property
    def model(self) -> str | None:
        """The device the trial is for: `-model` of its target string."""
        return target_model(self.target)


def trial_of(
    task: Any,
    entity: Any,
    *,
    costs: tuple[float, ...] = (),
    error: Failure | None = None,
    message: str = "",
    measurer: str,
    threads: int = 1,
    verified: bool = False,
    seconds: float = 0.0,
) -> Trial:
    """A Trial, dated now, of an autotvm Task and one of its ConfigEntities."""
    return Trial(
        key=task_key(task.name, task.args),
        name=task.name,
        args=as_tuples(task.args),
        target=str(task.target),
        config=Config.of(entity),
        costs=costs,
        error=error,
        message=message,
        when=time.time(),
        measurer=measurer,
        threads=threads,
        verified=verified,
        seconds=seconds,
    )


def task_key(name: str, args: Any) -> str:
    """A task's stable id: its template's name, then its arguments as compact JSON. What padding reads, which
    calibration finds for a network in 8-bit integers, is 0 there: no config depends on it.
    """
    if INTEGERS in name:
        args = (*args[:PAD_VALUE], 0, *args[PAD_VALUE + 1 :])
    return name + msgspec.json.encode(args, enc_hook=_plain).decode()


def target_model(target: str) -> str | None:
    """The `-model` of a TVM target string, None where it names none."""
    match = MODEL.search(target)
    return None if match is None or match[1] == "unknown" else match[1]


def as_tuples(value: Any) -> Any:
    """Lists as tuples at every depth, TVM's scalars as Python's: the form of AutoTVM's workloads."""
    if isinstance(value, (list, tuple)):
        return tuple(as_tuples(item) for item in value)
    return value if value is None or type(value) in (str, int, float, bool) else _plain(value)


def _plain(value: Any) -> Any:
    """A TVM string, integer or float as Python's; what else a workload may hold (symbols) as text."""
    constant = getattr(value, "value", None)
    return constant if type(constant) in (int, float, bool) else str(value)
