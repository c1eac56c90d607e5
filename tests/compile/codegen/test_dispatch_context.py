# SPDX-License-Identifier: Apache-2.0
"""Builds get the log's best configs for their very device, and no others."""

from typing import Any

import msgspec
import numpy as np
import pytest
import tvm
from tvm import autotvm, relay

from mnc.compile.codegen.dispatch_context import BestRecords
from mnc.compile.records.ranking import current
from mnc.compile.records.trial import Trial, as_tuples, task_key, trial_of
from mnc.compile.toolchain import pass_context

TARGET = "llvm -keys=cpu -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3 -model=x86-test -num-cores=2"
OTHER = TARGET.replace("-model=x86-test", "-model=x86-test-other")


def network() -> tuple[Any, dict[str, Any]]:
    """One pointwise convolution."""
    data = relay.var("data", shape=(1, 8, 14, 14))
    weight = relay.var("weight", shape=(16, 8, 1, 1))
    body = relay.nn.conv2d(data, weight, kernel_size=(1, 1), channels=16)
    mod = tvm.IRModule.from_expr(relay.Function([data, weight], body))
    return mod, {"weight": np.ones((16, 8, 1, 1), np.float32)}


@pytest.fixture(scope="module")
def task() -> Any:
    """Its AutoTVM task, of stock TVM's template."""
    mod, params = network()
    with pass_context.pass_context():
        (found,) = autotvm.task.extract_from_program(mod, params, tvm.target.Target(TARGET))
    return found


def tried(task: Any, index: int, cost: float, **changes: Any) -> Trial:
    """A verified trial of the task's config `index`."""
    made = trial_of(
        task, task.config_space.get(index), costs=(cost,), measurer="test", verified=True
    )
    return msgspec.structs.replace(made, **changes)


def asked(context: Any, target: str, workload: Any) -> Any:
    """The config that a build for `target` would get."""
    with context:
        return autotvm.task.DispatchContext.current.query(tvm.target.Target(target), workload)


def test_the_cheapest_verified_config_is_given_with_its_cost(task: Any) -> None:
    trials = [
        tried(task, 0, 3e-3),
        tried(task, 2, 1e-3),
        tried(task, 1, 1e-6, verified=False),
        tried(task, 3, 1e-6, target=OTHER),
    ]
    context = BestRecords(trials, TARGET, tasks=[task])
    config = asked(context, TARGET, task.workload)
    assert config.to_json_dict() == task.config_space.get(2).to_json_dict()
    assert not config.is_fallback
    assert config.cost == 1e-3
    assert list(context.used.values()) == [trials[1]]
    assert not context.fell_back


@pytest.mark.parametrize("target", [OTHER, TARGET.replace(" -model=x86-test", "")])
def test_another_device_s_record_is_never_given(task: Any, target: str) -> None:
    trials = [tried(task, 2, 1e-3)]
    for built_for, queried in ((target, target), (TARGET, target), (target, TARGET)):
        context = BestRecords(trials, built_for)
        assert asked(context, queried, task.workload).is_fallback
        assert list(context.fell_back) == [trials[0].key]
        assert not context.used


def test_a_config_that_the_space_no_longer_has_is_stale(task: Any) -> None:
    fine = tried(task, 2, 5e-3)
    moved = msgspec.structs.replace(fine.config, index=3, entity=tried(task, 0, 1.0).config.entity)
    trials = [
        fine,
        tried(task, 3, 1e-4, config=moved),
        tried(task, 4, 1e-4, config=msgspec.structs.replace(fine.config, index=10**9)),
        tried(task, 5, 1e-4, config=msgspec.structs.replace(moved, entity=msgspec.Raw(b"[1]"))),
    ]
    assert current(trials, task) == [fine]
    context = BestRecords(trials, TARGET, tasks=[task])
    assert asked(context, TARGET, task.workload).cost == 5e-3


def test_knobs_that_are_none_fall_back(task: Any) -> None:
    fine = tried(task, 2, 5e-3)
    for entity in (b"[1]", b"{}", b'[["tile_ic","sp",["a"]]]', b'[["tile_ic","exec","1"]]'):
        broken = msgspec.structs.replace(fine.config, entity=msgspec.Raw(entity))
        context = BestRecords([tried(task, 2, 1e-3, config=broken)], TARGET)
        assert asked(context, TARGET, task.workload).is_fallback


def test_relay_builds_with_the_record(task: Any, caplog: pytest.LogCaptureFixture) -> None:
    mod, params = network()
    trial = tried(task, 2, 1e-3)
    for trials, used in (([trial], {trial.key}), ([], set())):
        context = BestRecords(trials, TARGET)
        with context, pass_context.pass_context():
            relay.build(mod, target=tvm.target.Target(TARGET), params=params)
        assert set(context.used) == used
        assert trial.key in {*context.used, *context.fell_back}
    assert "fallback" not in caplog.text  # the manifest says it, once


def test_a_workload_of_tvm_s_own_values_has_the_same_key(task: Any) -> None:
    """Relay asks with TVM's strings and integers where the log has Python's."""

    def theirs_of(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(theirs_of, value))
        return (
            tvm.tir.IntImm("int32", value) if isinstance(value, int) else tvm.runtime.convert(value)
        )

    name, *args = task.workload
    theirs = theirs_of(tuple(args))
    assert task_key(name, theirs) == task_key(name, args)
    assert as_tuples(theirs[2:]) == tuple(args[2:])
