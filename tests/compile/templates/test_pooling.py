# SPDX-License-Identifier: Apache-2.0
"""Pooling of whole maps: TVM's own results to the bit, by vectors of a block, in one parallel loop."""

from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relay, te, topi
from tvm.contrib import graph_executor

from mnc.compile.templates import op_strategy, pooling
from mnc.compile.toolchain import pass_context
from mnc.targets import load

BLOCK = 16


@pytest.mark.parametrize(
    "operator", ["adaptive_avg_pool2d", "global_avg_pool2d", "global_max_pool2d", "sum"]
)
def test_a_network_gets_our_schedule_and_tvms_bits(
    operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []

    def schedule(outs: Any) -> Any:
        made.append(real(outs))
        return made[-1]

    real = pooling.schedule
    monkeypatch.setattr(pooling, "schedule", schedule)
    data = np.random.default_rng(0).standard_normal((2, 3, 9, 7, BLOCK)).astype(np.float32)
    if operator == "sum":
        data = (1000 * data).astype(np.int32)
    x = relay.var("x", shape=data.shape, dtype=str(data.dtype))
    layout = f"NCHW{BLOCK}c"
    size = {"output_size": (1, 1)} if operator.startswith("adaptive") else {}
    if operator == "sum":
        pool = relay.cast(relay.sum(x, axis=[2, 3], keepdims=True), "float32")
    else:
        pool = getattr(relay.nn, operator)(x, layout=layout, out_layout=layout, **size)
    mod = tvm.IRModule.from_expr(relay.Function([x], relay.nn.relu(pool) * relay.const(3.0)))
    target = load("host").tvm_target()
    with pass_context.pass_context():
        ours = relay.build(mod, target=target)
        with op_strategy.stock():
            theirs = relay.build(mod, target=target)
    found = []
    for factory in (ours, theirs):
        module = graph_executor.GraphModule(factory["default"](tvm.cpu(0)))
        module.run(x=data)
        found.append(module.get_output(0).numpy())
    np.testing.assert_array_equal(*found)
    assert len(made) == 1


def test_sums_are_vectors_of_a_block_within_one_parallel_loop() -> None:
    x = te.placeholder((1, 8, 28, 28, BLOCK), name="x")
    pool = topi.nn.relu(topi.nn.adaptive_pool(x, (1, 1), "avg", layout=f"NCHW{BLOCK}c"))
    assert pooling.applies([pool])
    text = str(tvm.lower(pooling.schedule([pool]), [x, pool]))
    assert text.count("T.parallel") == 1
    assert f'T.allocate([1], "float32x{BLOCK}"' in text


def test_what_is_not_blocked_is_left_to_tvm() -> None:
    x = te.placeholder((1, 8, 28, 28), name="x")
    assert not pooling.applies([topi.nn.adaptive_pool(x, (1, 1), "avg")])
