# SPDX-License-Identifier: Apache-2.0
"""Trials and logs made by hand: good ones, failed ones, lines with a key replaced."""

import json
from pathlib import Path
from typing import Any

import msgspec

from mnc.compile.records import line_codec
from mnc.compile.records.trial import Config, Trial, task_key
from mnc.compile.records.tuning_log import TuningLog

TARGET = "llvm -keys=cpu -mcpu=znver3 -model=x86-test-znver3 -num-cores=2"
ARGS = (("TENSOR", (1, 8, 14, 14, 8), "float32"), (1, 1), "NCHW8c", None)
NAME = "conv2d_NCHWc.x86"
KEY = task_key(NAME, ARGS)


def made(index: int = 0, **changes: Any) -> Trial:
    """A verified trial of 1 ms, changed as asked."""
    knobs = msgspec.Raw(b'[["tile_ic","sp",[-1,8]],["unroll_kw","ot",true]]')
    fields: dict[str, Any] = {
        "key": KEY,
        "name": NAME,
        "args": ARGS,
        "target": TARGET,
        "config": Config(index=index, code_hash=None, entity=knobs),
        "costs": (1e-3,),
        "when": 1.7e9,
        "measurer": "local-v1 threads=1",
        "verified": True,
    }
    return Trial(**(fields | changes))


def failed(index: int, error: str = "wrong") -> Trial:
    """A trial that failed."""
    return made(index, costs=(), error=error, verified=False, message="off by 3")


def write(path: Path, *trials: Trial) -> None:
    """A log of these trials."""
    with TuningLog.open(path, exclusive=True) as log:
        for each in trials:
            log.append(each)


def read(path: Path, **options: Any) -> TuningLog:
    """The log, opened for reading."""
    return TuningLog.open(path, exclusive=False, **options)


def line_of(**changes: Any) -> bytes:
    """A good line with some of its keys replaced."""
    return json.dumps(json.loads(line_codec.encode_line(made())) | changes).encode() + b"\n"
