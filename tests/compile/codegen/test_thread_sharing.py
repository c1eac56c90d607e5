# SPDX-License-Identifier: Apache-2.0
"""What may be called by every thread at once, and what must happen once."""

from pathlib import Path

import msgspec
import tvm
from tvm import te, tir

from mnc.compile.codegen import kernel_object, thread_sharing
from mnc.compile.codegen.network import Built
from mnc.compile.toolchain import graph


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


def test_a_graph_says_how_its_kernels_are_shared(two_heads_built: Built, tmp_path: Path) -> None:
    """Without the key, as in artifacts of before, every kernel is left to the general case."""
    kernel_object.write(two_heads_built.factory, tmp_path, keys=())
    found = graph.load(tmp_path)
    assert {"shares"} <= {call.way for call in found.calls} <= {"shares", "alone", "forks"}
    older = msgspec.json.decode((tmp_path / graph.GRAPH).read_bytes())
    del older["ways"]
    calls = graph.read(msgspec.json.encode(older), where="here").calls
    assert {call.way for call in calls} == {"forks"}
