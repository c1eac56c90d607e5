# SPDX-License-Identifier: Apache-2.0
"""The tasks of a network: every operator once, its share of the work, its kind."""

import pytest
import tvm
from tvm import autotvm

from mnc.compile.frontend import importer, tasks
from mnc.compile.frontend.importer import Program
from mnc.compile.records.trial import task_key
from mnc.compile.templates.workload import Convolution, convolutions
from mnc.compile.toolchain import pass_context
from mnc.model import zoo
from mnc.support.errors import UserError
from mnc.targets import Target, load


@pytest.fixture(scope="module")
def target() -> Target:
    return load("arm")


@pytest.fixture(scope="module")
def small(target: Target) -> Program:
    return importer.import_model(zoo.load("mobilenet_v1_28"), target)


def test_every_kind_of_a_mobilenet_is_found(small: Program, target: Target) -> None:
    found = tasks.extract(small, target)
    calls = {kind: sum(t.calls for t in found if t.kind == kind) for kind in tasks.KINDS}
    alone = {"first conv": 1, "depthwise": 13, "pointwise": 13, "dense": 1, "conv": 0}
    assert calls == alone | {"fused": 0}


def test_pairs_are_searched_beside_their_parts(small: Program, target: Target) -> None:
    apart = tasks.extract(small, target)
    both = tasks.extract_all(small, target)
    assert [task.key for task in both[: len(apart)]] == [task.key for task in apart]
    fused = both[len(apart) :]
    assert {task.kind for task in fused} == {"fused"}
    assert sum(task.calls for task in fused) == 13
    parts = {key for task in fused for key in map(part_key, convolutions(*workload(task)))}
    assert parts < {task.key for task in apart}, "a part is no task of its own"


def workload(task: tasks.TunableTask) -> tuple[str, tuple[object, ...]]:
    return task.task.name, task.task.args


def part_key(part: Convolution) -> str:
    return task_key(*part.workload)


def test_multiply_adds_are_the_papers_but_for_padded_channels(target: Target) -> None:
    model = zoo.load("mobilenet_v1_0.25_128")
    found = tasks.extract(importer.import_model(model, target), target)
    # 13.57 M; on blocks of 4 channels only the classifier could need padding, and 1000 fills 250 blocks.
    assert sum(t.macs * t.calls for t in found) == pytest.approx(13.57e6, rel=1e-3)


def test_autotvm_itself_extracts_the_same_tasks(small: Program, target: Target) -> None:
    with pass_context.pass_context():
        stock = autotvm.task.extract_from_program(
            small.mod, None, tvm.target.Target(target.tvm_target())
        )
    ours = {(t.task.name, t.task.args) for t in tasks.extract(small, target)}
    assert ours == {(task.name, task.args) for task in stock}


def test_a_task_is_tuned_for_the_device_alone(small: Program, target: Target) -> None:
    (first, *_) = tasks.extract(small, target)
    assert first.task.target.attrs["model"] == target.model
    assert first.task.target.attrs["mcpu"] == "cortex-a72"


def test_kinds_select_and_unknown_ones_are_named(small: Program, target: Target) -> None:
    found = tasks.extract(small, target)
    assert {t.kind for t in tasks.select(found, ["first-conv", "dense"])} == {"first conv", "dense"}
    assert tasks.select(found, ["all"]) == found
    with pytest.raises(UserError, match=r"'wide'.*pointwise"):
        tasks.select(found, ["wide"])
