# SPDX-License-Identifier: Apache-2.0
"""Trials follow run time, with a floor, and never exceed what there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnc.compile.tuning.budget import Standing, allowances, choose, guess_seconds

HUGE = 1_000_000


def standing(key: str, seconds: float, done: int = 0, space: int = HUGE) -> Standing:
    return Standing(key=key, seconds=seconds, done=done, space=space)


standings = st.lists(
    st.tuples(st.floats(1e-7, 1.0), st.integers(1, 500)), min_size=1, max_size=12
).map(lambda rows: [standing(str(i), seconds, 0, space) for i, (seconds, space) in enumerate(rows)])


def test_trials_are_in_proportion_to_time() -> None:
    given = allowances([standing("a", 3.0), standing("b", 1.0)], total=400, floor=16)
    assert given == {"a": 300, "b": 100}


def test_every_task_gets_the_floor() -> None:
    given = allowances([standing("a", 1000.0), standing("b", 1.0)], total=100, floor=16)
    assert given == {"a": 84, "b": 16}


def test_what_a_small_space_cannot_use_goes_to_others() -> None:
    given = allowances([standing("a", 3.0, space=20), standing("b", 1.0)], total=400, floor=16)
    assert given == {"a": 20, "b": 380}


def test_a_total_below_the_floors_is_spread() -> None:
    tasks = [standing(name, 1.0) for name in "abcd"]
    given = allowances(tasks, total=10, floor=16)
    assert sum(given.values()) == 10
    assert min(given.values()) >= 2


@given(standings, st.integers(0, 3000), st.integers(0, 40))
def test_allowances_add_up(tasks: list[Standing], total: int, floor: int) -> None:
    given = allowances(tasks, total=total, floor=floor)
    room = sum(task.space for task in tasks)
    assert sum(given.values()) == min(total, room)
    assert all(0 <= given[task.key] <= task.space for task in tasks)
    least = min(floor, min(total, room) // len(tasks))
    assert all(given[task.key] >= min(least, task.space) for task in tasks)


@given(standings, st.integers(0, 600), st.integers(1, 20))
def test_choosing_spends_the_budget_and_stops(
    tasks: list[Standing], total: int, batch: int
) -> None:
    done = dict.fromkeys((task.key for task in tasks), 0)
    space = {task.key: task.space for task in tasks}
    seconds = {task.key: task.seconds for task in tasks}

    def now() -> list[Standing]:
        return [standing(key, seconds[key], done[key], space[key]) for key in done]

    while (key := choose(now(), total=total, floor=8)) is not None:
        left = total - sum(done.values())
        step = min(batch, left, space[key] - done[key])
        assert step > 0
        done[key] += step
    assert sum(done.values()) == min(total, sum(space.values()))


def test_untouched_tasks_come_first_then_the_longest() -> None:
    tasks = [standing("a", 9.0, done=16), standing("b", 1.0), standing("c", 2.0)]
    assert choose(tasks, total=300, floor=16) == "c"


def test_a_spent_budget_chooses_nothing() -> None:
    tasks = [standing("a", 9.0, done=10), standing("b", 1.0, done=90)]
    assert choose(tasks, total=100, floor=16) is None


def test_guesses_count_arithmetic_and_bytes() -> None:
    small = (("TENSOR", (1, 4, 7, 7, 16), "float32"), (1, 1))
    large = (("TENSOR", (1, 4, 112, 112, 16), "float32"), (1, 1))
    assert guess_seconds(10**6, small) < guess_seconds(10**6, large)
    assert guess_seconds(10**6, small) < guess_seconds(10**8, small)
    assert guess_seconds(0, (("TENSOR", (2500,), "float32"),)) == pytest.approx(1e-6)
