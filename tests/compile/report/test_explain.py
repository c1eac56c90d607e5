# SPDX-License-Identifier: Apache-2.0
"""An explanation accounts for every cycle, names the bound, and shows the code that takes the time."""

import pytest

from mnc.compile.cli import run
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.records.trial import Trial, trial_of
from mnc.compile.report.explain import explain, find
from mnc.compile.simulator.identity import identity
from mnc.support.errors import UserError
from mnc.targets import Target, load
from tests.compile import tuning_tasks


@pytest.fixture(scope="module")
def board() -> Target:
    return load("rk3399")


@pytest.fixture(scope="module")
def task(board: Target) -> TunableTask:
    return tuning_tasks.pointwise_task(board, inputs=32, outputs=32, size=7)


def record(task: TunableTask, index: int, measurer: str) -> Trial:
    return trial_of(
        task.task,
        task.task.config_space.get(index),
        costs=(1e-4,),
        measurer=measurer,
        verified=True,
    )


def test_all_cycles_are_accounted_for(board: Target, task: TunableTask) -> None:
    found = explain(task, board, (), threads=1)
    assert found.origin.startswith("the default")
    assert sum(one.cycles for one in found.causes) == pytest.approx(found.cycles, rel=0.02)
    assert found.causes[0].share == max(one.share for one in found.causes)
    assert found.seconds == pytest.approx(found.cycles / 1.8e9)
    assert 0 < found.share_of_bound < 1
    arithmetic = found.bounds[0]
    assert arithmetic.seconds == pytest.approx(task.flops / (8 * 1.8e9))


def test_the_hot_loop_is_the_one_that_multiplies(board: Target, task: TunableTask) -> None:
    found = explain(task, board, (), threads=1)
    hottest = found.loops[0]
    assert hottest.cycles > 0.5 * found.cycles
    fmas = sum(line.count for line in found.loops[0].lines if line.text.startswith("fmla"))
    assert fmas * 4 * 2 >= 0.8 * task.flops  # four lanes; the last of 8 blocks of channels is apart
    assert all(line.cause for line in hottest.lines if line.cycles)


def test_the_log_s_best_is_explained(board: Target, task: TunableTask) -> None:
    index = tuning_tasks.indices(task, 2)[1]
    for measurer, word in (("rpc-v1 cpu=rk3399", "measured"), ("simulated v1-x y", "simulated")):
        found = explain(task, board, [record(task, index, measurer)], threads=1)
        assert found.origin == f"the log's best, {word}: 100.0 us"
    knobs = task.task.config_space.get(index)._entity_map
    assert found.config == " ".join(f"{name}={knob.val}" for name, knob in knobs.items())


def test_integers_are_bound_by_memory_alone_for_targets_state_a_peak_of_floats() -> None:
    board = load("rpi5")
    found = explain(tuning_tasks.integer_task(board), board, (), threads=1)
    (memory,) = found.bounds
    assert found.bound == memory and 0 < found.share_of_bound < 1
    assert found.model == identity(board, precision="int8")


def test_layers_are_found_by_number_and_name(board: Target, task: TunableTask) -> None:
    tasks = [task, tuning_tasks.depthwise_task(board, channels=32, size=7)]
    assert find(tasks, "2") is tasks[1]
    assert find(tasks, "32->32 7x7") is tasks[0] and find(tasks, "Depthwise") is tasks[1]
    for wrong, said in (
        ("3", "give 1 to 2"),
        ("0", "give 1 to 2"),
        ("7x7", "2 layers"),
        ("x9", "no layer"),
    ):
        with pytest.raises(UserError, match=said):
            find(tasks, wrong)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer", "nothing like it"], "no layer is called 'nothing like it'"),
        (["--threads", "9"], "9 threads do not fit"),
        (["--target", "vax"], "vax"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-q", "explain", "mobilenet_v1_28", "--target", "rk3399", *words]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_the_page_shows_causes_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", "mobilenet_v1_28", "--target", "rk3399", "--layer", "3", "--lines", "12"]
    assert run(["-q", *words]) == 0
    said = capsys.readouterr().out
    for part in ("<- the bound", "cycles go to", "spills:", "loop at 0x", "[x"):
        assert part in said
