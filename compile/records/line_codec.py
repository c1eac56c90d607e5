# SPDX-License-Identifier: Apache-2.0
"""The log line of a trial, and back.

Takes and gives `Trial`s. A line is AutoTVM's own JSON record, readable by stock AutoTVM, with one
extra key "mnc" for what AutoTVM has no place for. Nothing in a line is unpickled or evaluated.
"""

import re
import time
from typing import Annotated, Any

import msgspec

from mnc.compile.records.trial import (
    ERROR_NUMBERS,
    FAILED_COST,
    Config,
    Failure,
    Trial,
    as_tuples,
    task_key,
)

TVM_VERSION = "0.19.0"
LOG_VERSION = 0.2  # of AutoTVM's record format
SHORTEST_COST, LONGEST_COST = 1e-9, 3600.0  # seconds; others are no measurement of a kernel
AHEAD = 10 * 366 * 86400.0  # seconds: what another machine's clock may be ahead of ours, and more
WRITTEN = 1.8e9  # when this was, as Unix time, for machines whose clock stopped long before it
LONGEST_MESSAGE = 300  # characters
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


class LineError(ValueError):
    """A line that is no usable record; the message is the reason, the same for all of its kind."""


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
        self._latest = (
            max(time.time(), WRITTEN) + AHEAD
        )  # what is later would be the newest for ever

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
        if not when <= self._latest:
            raise LineError("from the far future")
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
        if not SHORTEST_COST <= cost <= LONGEST_COST:  # NaN fails it as well
            raise LineError("a cost that is no time")


def _why_not_a_record(line: bytes) -> str:
    if re.search(rb"\b(NaN|Infinity)\b", line):
        return "a cost that is no time"
    return "not a record"


def _one_line(text: str) -> str:
    """Short, on one line, and encodable whatever a compiler printed."""
    plain = " ".join(text.encode("utf-8", "replace").decode().split())
    return plain if len(plain) <= LONGEST_MESSAGE else plain[: LONGEST_MESSAGE - 1] + "…"
