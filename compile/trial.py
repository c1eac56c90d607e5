# SPDX-License-Identifier: Apache-2.0
"""One measured candidate, and the log line that keeps it.

Takes and gives `Trial`s. A line is AutoTVM's own JSON record, readable by stock AutoTVM, with one
extra key "mnc" for what AutoTVM has no place for. Nothing in a line is unpickled or evaluated.
"""

import math
import re
import statistics
import time
from typing import Annotated, Any, Literal, get_args

import msgspec

TVM_VERSION = "0.19.0"
LOG_VERSION = 0.2  # of AutoTVM's record format
FAILED_COST = 1e9  # what AutoTVM writes as the cost of a failure
LONGEST_COST = 3600.0  # seconds; more is no measurement of a kernel
LONGEST_MESSAGE = 300  # characters
MODEL = re.compile(r"(?:^|\s)-model=(\S+)")

Failure = Literal["compile", "timeout", "crash", "wrong", "run", "device"]
FAILURES: tuple[str, ...] = get_args(Failure)
# AutoTVM's MeasureErrorNo for each.
ERROR_NUMBERS = {"compile": 2, "crash": 4, "run": 4, "wrong": 5, "timeout": 7, "device": 8}
FAILURE_OF_NUMBER: dict[int, Failure] = {
    1: "compile",
    2: "compile",
    3: "compile",
    4: "run",
    5: "wrong",
    6: "timeout",
    7: "timeout",
    8: "device",
}

KnobType = Literal["sp", "re", "an", "ot"]
Index = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
# The kinds of knobs a ConfigEntity can hold (split, reorder, annotation, other) and their values.
KNOB_VALUES: dict[str, Any] = {
    "sp": list[int],
    "re": list[int],
    "an": list[str],
    "ot": str | int | float | bool | list[int] | None,
}


class LineError(ValueError):
    """A line that is no usable record; the message is the reason, the same for all of its kind."""


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
    one whose kernel's output was found right before it was timed, may be used in a build. The error
    "device" means that the device failed, not the config: such a trial measured nothing.
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
    """A task's stable id: its template's name, then its arguments as compact JSON."""
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


class _Extra(msgspec.Struct, frozen=True, gc=False):
    """The "mnc" key. The defaults are those of a record that stock AutoTVM wrote."""

    error: Failure | None = None
    message: str = ""
    measurer: str = "unknown"
    threads: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 1
    verified: bool = False


class _Line(msgspec.Struct, frozen=True, gc=False):
    input: tuple[str, str, msgspec.Raw, msgspec.Raw]  # target, task, args, kwargs
    config: Config
    result: tuple[tuple[float, ...], int, float, float]  # costs, error, seconds, when
    version: float
    tvm_version: str
    mnc: _Extra = _Extra()


class LineDecoder:
    """Turns lines into Trials. Keeps what lines share (arguments, targets), so use one a file."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Line).decode
        self._tasks: dict[tuple[str, bytes], tuple[str, str, tuple[Any, ...]]] = {}
        self._texts: dict[str, str] = {}

    def decode(self, line: bytes) -> Trial:
        """The line's Trial, or a LineError with the reason why it has none."""
        try:
            record = self._decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise LineError(_why_not_a_record(line)) from None
        if record.version != LOG_VERSION:
            raise LineError(f"in log format {record.version:g}, not {LOG_VERSION}")
        if record.tvm_version != TVM_VERSION:
            raise LineError(f"made by TVM {record.tvm_version[:20]}, not {TVM_VERSION}")
        costs, number, seconds, when = record.result
        error = _failure(record.mnc.error, number)
        if error is None:
            _check_costs(costs)
        target, name, raw, _ = record.input
        key, name, args = self._task(name, raw)
        return Trial(
            key=key,
            name=name,
            args=args,
            target=self._shared(target),
            config=record.config,
            costs=costs if error is None else (),
            error=error,
            message=record.mnc.message,
            when=when,
            measurer=self._shared(record.mnc.measurer),
            threads=record.mnc.threads,
            verified=record.mnc.verified and error is None,
            seconds=seconds,
        )

    def _shared(self, text: str) -> str:
        return self._texts.setdefault(text, text)

    def _task(self, name: str, raw: msgspec.Raw) -> tuple[str, str, tuple[Any, ...]]:
        known = self._tasks.get((name, bytes(raw)))
        if known is None:
            try:
                args = as_tuples(msgspec.json.decode(raw, type=list[Any]))
                known = (task_key(name, args), name, args)
            except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
                raise LineError("not a record") from None
            self._tasks[name, bytes(raw)] = known
        return known


def encode_line(trial: Trial) -> bytes:
    """The trial's line, newline included."""
    failed = trial.error is not None
    line = {
        "input": (trial.target, trial.name, trial.args, {}),
        "config": trial.config,
        "result": (
            (FAILED_COST,) if failed else trial.costs,
            ERROR_NUMBERS[trial.error] if trial.error is not None else 0,
            trial.seconds,
            trial.when,
        ),
        "version": LOG_VERSION,
        "tvm_version": TVM_VERSION,
        "mnc": _Extra(
            error=trial.error,
            message=_one_line(trial.message),
            measurer=_one_line(trial.measurer),
            threads=trial.threads,
            verified=trial.verified,
        ),
    }
    return msgspec.json.encode(line) + b"\n"


def _failure(named: Failure | None, number: int) -> Failure | None:
    if named is not None or number == 0:
        return named
    return FAILURE_OF_NUMBER.get(number, "run")


def _check_costs(costs: tuple[float, ...]) -> None:
    if not costs:
        raise LineError("no cost")
    for cost in costs:
        if not 0.0 < cost <= LONGEST_COST:  # NaN fails it as well
            raise LineError("a cost that is no time")


def _why_not_a_record(line: bytes) -> str:
    if re.search(rb"\b(NaN|Infinity)\b", line):
        return "a cost that is no time"
    return "not a record"


def _one_line(text: str) -> str:
    """Short, on one line, and encodable whatever a compiler printed."""
    plain = " ".join(text.encode("utf-8", "replace").decode().split())
    return plain if len(plain) <= LONGEST_MESSAGE else plain[: LONGEST_MESSAGE - 1] + "…"
