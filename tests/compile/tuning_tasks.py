# SPDX-License-Identifier: Apache-2.0
"""Small real tasks for this machine, made from workloads without importing a network."""

from functools import partial

import tvm

from mnc.compile.frontend import tasks
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.trial import Trial, trial_of
from mnc.compile.templates import depthwise, direct, integer, pointwise
from mnc.targets import Target, load
from tests.compile import faulty_template
from tests.compile.templates.workloads import convolution, fused

MEASURER = "local-v1 cpu=test threads=1"

SWAPPED = (
    "tests.compile.swapped_template"  # never imported here: that is what makes the template wrong
)


def host() -> Target:
    """The target that is this machine."""
    return load("host")


def pointwise_task(
    target: Target, *, inputs: int = 64, outputs: int = 64, size: int = 14, name: str = ""
) -> TunableTask:
    """1x1 convolution of a size x size map."""
    lanes = target.lanes
    data = ("TENSOR", (1, inputs // lanes, size, size, lanes), "float32")
    weights = (outputs // lanes, inputs // lanes, 1, 1, lanes, lanes)
    return _task(target, name or pointwise.NAME, data, weights, padding=0)


def integer_task(target: Target, *, channels: int = 32, size: int = 7) -> TunableTask:
    """1x1 convolution of a size x size map in 8-bit integers, on a target with the dot product."""
    blocks = channels // 16
    tensors = (
        ("TENSOR", (1, blocks, size, size, 16), "int8"),
        ("TENSOR", (blocks, blocks, 1, 1, 4, 16, 4), "int8"),
    )
    args = (*tensors, (1, 1), (0, 0, 0, 0), (1, 1), 0, "int32")
    return tasks.from_workload(
        integer.POINTWISE, args, tvm.target.Target(target.tvm_target()), calls=1
    )


def half_tasks(target: Target) -> tuple[TunableTask, ...]:
    """One of each kind in half precision, 1x1 convolutions with more channels than are added up in one go."""
    wide = (1, 66, 4, 4, 8), (2, 66, 1, 1, 8, 8)
    image = (1, 3, 28, 28, 1), (2, 3, 3, 3, 1, 8)
    taps, halved, around = (2, 1, 3, 3, 1, 8), ((2, 2), (0, 0, 1, 1)), (1, 1, 1, 1)
    of_halves = partial(convolution, target=target.tvm_target(), dtype="float16")
    two_of_halves = partial(fused, target=target.tvm_target(), dtype="float16")
    return (
        of_halves(pointwise.NAME, *wide),
        of_halves(depthwise.NAME, (1, 2, 14, 14, 8), taps, pad=around),
        of_halves(direct.NAME, *image, strides=halved[0], pad=halved[1]),
        two_of_halves(*wide, 3),
        two_of_halves(*image, 3, first=halved),
    )


def depthwise_task(target: Target, *, channels: int = 64, size: int = 14) -> TunableTask:
    """3x3 depthwise convolution of a size x size map."""
    lanes = target.lanes
    data = ("TENSOR", (1, channels // lanes, size, size, lanes), "float32")
    return _task(target, depthwise.NAME, data, (channels // lanes, 1, 3, 3, 1, lanes), padding=1)


def fused_task(target: Target, *, channels: int = 16, size: int = 28) -> TunableTask:
    """A grey image's 3x3 convolution by 2 and a depthwise one, as MobileNet v1 28x28 begins: kernel and taps
    have one shape.
    """
    data, kernel = (1, 1, size, size, 1), (channels // target.lanes, 1, 3, 3, 1, target.lanes)
    first = ((2, 2), (1,) * 4)
    return fused(data, kernel, 3, first=first, activation="relu", target=target.tvm_target())


def faulty_task(target: Target) -> TunableTask:
    """A task whose configurations fail, each in its own way."""
    return pointwise_task(target, size=4, name=faulty_template.NAME)


def indices(task: TunableTask, count: int) -> list[int]:
    """The first `count` configurations of the task's space; templates rule some indices out."""
    space = task.task.config_space
    return [i for i in range(space.range_length) if space.is_index_valid(i)][:count]


def tried(task: TunableTask, *, measurer: str = MEASURER) -> list[Trial]:
    """Every config of a task, with costs by a rule that a model can learn: long tiles are fast."""
    trials = []
    for index in indices(task, 10_000):
        config = task.task.config_space.get(index)
        knobs = {name: value for name, _, value in config.to_json_dict()["entity"]}
        good = knobs["tile_p"] * knobs["tile_oc"]
        cost = 1e-3 * (1 + 20 / good + 0.01 * (index % 7))
        trials.append(trial_of(task.task, config, costs=(cost,), measurer=measurer, verified=True))
    return trials


def _task(
    target: Target, name: str, data: object, weights: tuple[int, ...], *, padding: int
) -> TunableTask:
    layout = f"NCHW{target.lanes}c"
    args = (
        data,
        ("TENSOR", weights, "float32"),
        (1, 1),
        (padding,) * 4,
        (1, 1),
        layout,
        layout,
        "float32",
    )
    return tasks.from_workload(name, args, tvm.target.Target(target.tvm_target()), calls=1)
