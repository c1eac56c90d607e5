# SPDX-License-Identifier: Apache-2.0
"""Which trial a build takes: costs of different kinds are never compared by number."""

from pathlib import Path

import msgspec

from mnc.compile.records import ranking
from mnc.compile.records.ranking import best, measured, summary
from tests.compile.records.trials import KEY, failed, made, read, write

MODEL = "simulated v1-aaaa cortex-a72-bbbb threads=2"


def test_best_is_the_cheapest_verified_by_its_last_trial() -> None:
    trials = [
        made(0, costs=(5e-3,)),
        made(1, costs=(1e-3,)),
        made(2, costs=(1e-4,), verified=False),
        made(3, costs=(2e-3, 2e-3, 9e-6)),
        made(4, costs=(1e-4,), key="another task"),
    ]
    assert best(trials, KEY) == trials[1]
    trials += [failed(1), failed(3, "device")]
    assert best(trials, KEY) == trials[3]
    assert best(trials, "unknown") is None


def test_costs_of_different_thread_counts_are_not_compared() -> None:
    trials = [made(0, costs=(1e-3,), threads=2), made(1, costs=(2e-3,)), made(2, costs=(3e-3,))]
    assert best(trials, KEY) == trials[1]
    assert ranking.best_of_each(trials) == {KEY: trials[1]}
    assert best([t for t in trials if t.threads == 2], KEY) == trials[0]
    trials.append(made(1, costs=(9e-3,), threads=2))
    assert best(trials, KEY) == trials[1]
    assert measured(trials, KEY) == {0, 1, 2}
    assert summary(trials)[0].trials == 3


def test_what_was_timed_in_the_network_goes_before_what_was_timed_alone() -> None:
    inside = {"measurer": "in-network local-v1 threads=1", "when": 1.8e9}
    alone = [made(0, costs=(1e-3,)), made(1, costs=(2e-3,)), made(2, costs=(3e-3,))]
    reranking = [made(1, costs=(5e-3,), **inside), made(2, costs=(4e-3,), **inside)]
    for trials in (alone + reranking, reranking + alone):
        found = best(trials, KEY)
        assert found == reranking[1] == ranking.best_of_each(trials)[KEY]
        assert summary(trials)[0].best == found
        assert summary(trials)[0].trials == 3
    assert best([*reranking, *alone, made(1, costs=(1e-6,))], KEY) == reranking[1]


def test_only_the_latest_reranking_in_the_network_counts() -> None:
    inside = {"measurer": "in-network local-v1 threads=1"}
    slow_day = [made(i, costs=(5e-3 - 1e-3 * i,), when=1.9e9, **inside) for i in (0, 1)]
    fast_day = [made(i, costs=(1e-4,), when=1.8e9, **inside) for i in (2, 3)]
    assert best(fast_day + slow_day, KEY) == slow_day[1]
    # Where its records are stale, those of kernels timed alone are next.
    alone = made(5)
    found = ranking.best_of_each([*slow_day, alone], accept=lambda trial: trial.config.index == 5)
    assert found[KEY] == alone


def test_a_reranking_is_due_after_what_was_timed_alone_whoever_timed_it() -> None:
    alone, inside = made(0), made(0, measurer="in-network local-v1 threads=1")
    due = ranking.reranking_due
    assert due([alone], threads=1) and due([alone, inside, made(1)], threads=1)
    assert not due([], threads=1) and not due([alone, inside], threads=1)
    assert not due([alone, inside, failed(1)], threads=1)
    assert due([inside, alone, made(1, measurer=MODEL)], threads=1)
    assert not due([made(1, measurer=MODEL), made(1, measurer="emulated rpc")], threads=1)
    assert due([alone, made(0, threads=2), inside], threads=2)
    assert not due([alone], threads=2)


def test_in_network_times_with_more_threads_do_not_win_over_fewer() -> None:
    two = made(1, threads=2, costs=(1e-4,), measurer="in-network local-v1 threads=2")
    assert best([two, made(0)], KEY) == made(0)
    assert best([two], KEY) == two


def test_measured_counts_failures_of_the_config_but_not_of_the_device() -> None:
    trials = [made(0), failed(1, "timeout"), failed(2, "device")]
    assert measured(trials, KEY) == {0, 1}


def test_summary_counts_configs_and_failures() -> None:
    trials = [made(0), made(0, costs=(9e-3,)), failed(1, "crash"), made(5, key="b")]
    first, second = summary(trials)
    assert (first.key, first.trials, first.failures) == (KEY, 2, {"crash": 1})
    assert first.best == trials[1]
    assert (second.key, second.trials) == ("b", 1)


def test_a_device_s_cost_comes_before_any_simulated_one(tmp_path: Path) -> None:
    real, faster = made(1, costs=(5e-3,)), made(2, costs=(1e-3,), measurer=MODEL, threads=2)
    assert faster.simulated and not real.simulated
    for trials in ([real, faster], [faster, real]):
        assert best(trials, KEY) == real
        assert ranking.best_of_each(trials)[KEY] == real
    write(tmp_path / "log", real, faster)
    assert best(read(tmp_path / "log").trials, KEY) == real
    assert best([faster], KEY) == faster


def test_a_simulated_trial_hides_no_device_s_of_the_same_config() -> None:
    real = made(1, costs=(5e-3,))
    again = made(1, costs=(1e-3,), measurer=MODEL)
    failure = made(1, costs=(), error="wrong", verified=False, measurer=MODEL)
    assert best([real, again, failure], KEY) == real
    assert measured([real, again, failure], KEY) == {1}
    assert summary([real, again])[0].trials == 1


def test_stale_configs_of_a_device_give_way_to_simulated_ones() -> None:
    real, fresh = made(1), made(2, measurer=MODEL)
    accepted = ranking.best_of_each([real, fresh], accept=lambda trial: trial.config.index == 2)
    assert accepted[KEY] == fresh


def test_costs_of_another_core_model_are_not_compared() -> None:
    old = made(1, costs=(1e-3,), measurer=MODEL, when=1.0)
    new = made(2, costs=(2e-3,), measurer=MODEL.replace("aaaa", "cccc"), when=2.0)
    assert best([new, old], KEY) == new
    assert best([old, msgspec.structs.replace(new, verified=False)], KEY) == old
