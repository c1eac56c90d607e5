# SPDX-License-Identifier: Apache-2.0
"""Timing in turns: each takes its own, as often as the others."""

import pytest

from mnc.compile.artifact.store import Artifact
from mnc.compile.runtime import benchmark
from mnc.compile.runtime.session import Session
from mnc.support.errors import UserError
from tests.compile.conftest import Tiny


def test_bench_takes_turns(tiny: Tiny, tiny_artifact: Artifact) -> None:
    session = Session(tiny_artifact, threads=1)
    x = tiny.golden.inputs[0][0]
    called: list[int] = []
    found = benchmark.bench(
        session, x, seconds=0.0, rivals={"other": lambda: called.append(len(called))}
    )
    assert len(found["mnc"].times) == len(found["other"].times) == 10  # one turn of ten
    assert len(called) == 3 + 10 + 1  # to warm up, timed, one untimed a turn
    assert found["mnc"].threads == 1
    assert found["other"].threads is None
    with pytest.raises(UserError):
        benchmark.bench(session, x[:0])
