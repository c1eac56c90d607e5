# SPDX-License-Identifier: Apache-2.0
"""What may be called by every thread at once, and what must happen once."""

import tvm
from tvm import te, tir

from mnc.compile.codegen import thread_sharing


def doubled(*, parallel: int) -> tir.PrimFunc:
    """Two stages over 64 floats, the last `parallel` of which are parallel loops; one stage when none is."""
    data = te.placeholder((64,), name="data")
    first = te.compute((64,), lambda i: data[i] * 2.0, name="first")
    last = te.compute((64,), lambda i: first[i] + first[63 - i], name="last")
    schedule = te.create_schedule(last.op)
    for stage in (last, first)[:parallel]:
        schedule[stage].parallel(stage.op.axis[0])
    if parallel == 0:
        schedule[first].compute_inline()
    return lowered(schedule, [data, last])


def lowered(schedule: te.Schedule, arguments: list[te.Tensor]) -> tir.PrimFunc:
    """As TVM keeps a kernel's function when it compiles it."""
    return tvm.lower(schedule, arguments)["main"]


def one_loop() -> tir.PrimFunc:
    data = te.placeholder((64,), name="data")
    last = te.compute((64,), lambda i: data[i] * 2.0, name="last")
    schedule = te.create_schedule(last.op)
    schedule[last].parallel(last.op.axis[0])
    return lowered(schedule, [data, last])


def test_only_a_single_parallel_loop_is_shared() -> None:
    assert thread_sharing.way([one_loop()]) == "shares"
    assert thread_sharing.way([doubled(parallel=0)]) == "alone"
    # One of two stages, or both: what is between them lies in memory that the threads must have in common.
    assert thread_sharing.way([doubled(parallel=1)]) == "forks"
    assert thread_sharing.way([doubled(parallel=2)]) == "forks"
    assert thread_sharing.way([one_loop(), one_loop()]) == "forks"
