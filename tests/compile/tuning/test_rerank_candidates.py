# SPDX-License-Identifier: Apache-2.0
"""Which configs get into which networks, and what their layers' times become."""

from collections.abc import Sequence

import msgspec
import pytest

from mnc.compile.frontend.tasks import TunableTask, from_workload
from mnc.compile.records.ranking import best
from mnc.compile.records.trial import Trial, trial_of
from mnc.compile.runtime.layers import Layer
from mnc.compile.templates import convolution_depthwise
from mnc.compile.tuning import rerank_candidates
from mnc.compile.tuning.options import RerankOptions
from mnc.targets import Target
from tests.compile import tuning_tasks

ALONE, INSIDE = "local-v1 cpu=x86-test threads=1", "in-network local-v1 cpu=x86-test threads=1"


@pytest.fixture(scope="module")
def target() -> Target:
    return tuning_tasks.host()


@pytest.fixture(scope="module")
def pointwise(target: Target) -> TunableTask:
    return tuning_tasks.pointwise_task(target, inputs=64, outputs=128, size=14)


@pytest.fixture(scope="module")
def depthwise(target: Target) -> TunableTask:
    return tuning_tasks.depthwise_task(target, channels=128, size=14)


@pytest.fixture(scope="module")
def fused(pointwise: TunableTask, depthwise: TunableTask) -> TunableTask:
    """Both of the above as one task."""
    data, kernel, strides, padding = pointwise.task.args[:4]
    taps, then = depthwise.task.args[1], depthwise.task.args[2:4]
    shape = kernel[1]
    bias = ("TENSOR", (1, shape[0], 1, 1, shape[5]), "float32")
    args = (data, kernel, bias, taps, strides, padding, *then, "relu6", "float32")
    return from_workload(convolution_depthwise.NAME, args, pointwise.task.target, calls=1)


def tried(
    task: TunableTask, costs: Sequence[float], *, measurer: str = ALONE, threads: int = 1
) -> list[Trial]:
    """Verified trials of a task's first configs."""
    space = task.task.config_space
    return [
        trial_of(
            task.task,
            space.get(index),
            costs=(cost,),
            measurer=measurer,
            threads=threads,
            verified=True,
        )
        for index, cost in zip(tuning_tasks.indices(task, len(costs)), costs, strict=True)
    ]


def test_the_best_few_within_reach_are_tried(pointwise: TunableTask) -> None:
    costs = [5e-3, 1.1e-3, 1.0e-3, 1.2e-3, 1.3e-3]
    one = tried(pointwise, costs)
    distraction = [
        *tried(pointwise, [1e-6], measurer=INSIDE),
        *tried(pointwise, [1e-6], measurer=f"emulated {ALONE}"),
        *tried(pointwise, [1e-6], measurer="simulated-v1"),
        *tried(pointwise, [1e-6], threads=2),
    ]
    wrong = msgspec.structs.replace(one[2], costs=(), error="wrong", verified=False)
    options = RerankOptions(keep=4, within=1.25)
    found = rerank_candidates.rerank_candidates([*distraction, *one], [pointwise], 1, options)
    assert [trial.cost for trial in found[pointwise.key]] == [1.0e-3, 1.1e-3, 1.2e-3]
    found = rerank_candidates.rerank_candidates(
        [*one, wrong], [pointwise], 1, RerankOptions(keep=2)
    )
    assert [trial.cost for trial in found[pointwise.key]] == [1.1e-3, 1.2e-3]
    assert rerank_candidates.rerank_candidates([], [pointwise], 1, options) == {}


def test_network_i_has_every_task_s_i_th(pointwise: TunableTask, depthwise: TunableTask) -> None:
    costs = {pointwise.key: [1e-3, 2e-3, 3e-3], depthwise.key: [1e-4]}
    tasks = [pointwise, depthwise]
    known = {task.key: tried(task, costs[task.key]) for task in tasks}
    made = rerank_candidates.networks(known, tasks)
    assert [[trial.cost for trial in plan] for plan in made] == [
        [1e-3, 1e-4],
        [2e-3, 1e-4],
        [3e-3, 1e-4],
    ]


def test_pairs_are_tried_apart_and_fused_unless_far_behind(
    pointwise: TunableTask, depthwise: TunableTask, fused: TunableTask
) -> None:
    tasks = [pointwise, depthwise, fused]
    apart = [*tried(pointwise, [1.0e-3]), *tried(depthwise, [0.2e-3])]
    near = rerank_candidates.rerank_candidates(
        [*apart, *tried(fused, [1.3e-3])], tasks, 1, RerankOptions()
    )
    plans = rerank_candidates.networks(near, tasks)
    assert [{trial.key for trial in plan} for plan in plans] == [
        {pointwise.key, depthwise.key},
        {fused.key},
    ]
    far = rerank_candidates.rerank_candidates(
        [*apart, *tried(fused, [1.6e-3])], tasks, 1, RerankOptions()
    )
    assert set(far) == {pointwise.key, depthwise.key}
    assert len(rerank_candidates.networks(far, tasks)) == 1


def test_a_task_s_cost_is_the_mean_of_its_calls_whatever_disturbs_one(
    pointwise: TunableTask, depthwise: TunableTask
) -> None:
    runs = [
        [1.0, 10.0, 3.0, 7.0],
        [1.0, 20.0, 90.0, 7.0],
        [70.0, 20.0, 3.0, 7.0],
        [1.0, 9.0, 3.0, 7.0],
    ]
    used = {pointwise.key: tried(pointwise, [1e-3])[0]}
    keys = (pointwise.key, depthwise.key, pointwise.key, None)
    layers = [Layer("", "", "", macs=1, key=key) for key in keys]
    found = rerank_candidates.samples(layers, runs, used)
    ((key, by_index),) = found.items()
    ((index, seconds),) = by_index.items()
    assert (key, index) == (pointwise.key, used[pointwise.key].config.index)
    assert sorted(seconds) == [2.0] * 6 + [71.0, 89.0]
    both = rerank_candidates.merged([found, found])
    assert both == {key: {index: seconds + seconds}}
    assert len(found[key][index]) == 8


def test_trials_in_the_network_win_over_those_alone(pointwise: TunableTask) -> None:
    alone = tried(pointwise, [1e-3, 1.1e-3])
    known = {
        pointwise.key: {
            alone[0].config.index: [4e-3, 3e-3, 2e-3, 1e-3],
            alone[1].config.index: [2e-3] * 8,
        }
    }
    made = list(rerank_candidates.trials({pointwise.key: alone}, known, measurer=INSIDE, when=5.0))
    assert [trial.costs for trial in made] == [(2e-3, 3e-3), (2e-3,) * 4]
    assert all(trial.in_network and trial.verified and trial.when == 5.0 for trial in made)
    assert best([*alone, *made], pointwise.key) == made[1]
