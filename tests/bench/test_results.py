# SPDX-License-Identifier: Apache-2.0
"""What a race's figures say: medians, ratios taken round by round, the page and the picture."""

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from bench import page, picture, results
from bench.results import Contest, Entry, Machine, Race


def entry(peer: str, *rounds: float, **more: object) -> Entry:
    low, median, high = results.quartiles(rounds)
    known = Entry(
        peer=peer, version="1.0", error=2e-7, median=median, low=low, high=high, rounds=rounds
    )
    return msgspec.structs.replace(known, **more)


def race(*contests: Contest) -> Race:
    return Race(
        started="2026-01-02T03:04:05+00:00",
        finished="2026-01-02T03:14:05+00:00",
        commit="0123456789abcdef",
        dirty=True,
        machine=Machine(
            cpu="A CPU",
            mcpu="znver3",
            cores=2,
            caches="L1d 32 KiB",
            memory_bytes=2**34,
            kernel="Linux 6",
            virtual=True,
        ),
        settings={"mnc": "as built", "slow": "best", "fast": "best", "gone": "best"},
        titles={"mnc": "mnc", "slow": "Slow", "fast": "Fast", "gone": "Gone"},
        contests=contests,
    )


def contest(threads: int, *entries: Entry) -> Contest:
    return Contest(
        model="net",
        weights_hash="00",
        threads=threads,
        cpus=tuple(range(threads)),
        rounds=3,
        macs=1_000_000,
        peak_gflops=100.0 * threads,
        bound=2e-5 / threads,
        others_busy=0.015,
        entries=entries,
    )


@pytest.fixture
def small() -> Race:
    gone = Entry(peer="gone", why="cannot be made: no | wheel")
    one = contest(
        1,
        entry("slow", 0.030, 0.030, 0.030),
        entry("mnc", 0.010, 0.020, 0.010),
        entry("fast", 0.0125, 0.025, 0.0125),
        gone,
    )
    two = contest(2, entry("mnc", 0.005, 0.005, 0.005), entry("slow", 0.014, 0.014, 0.014), gone)
    return race(one, two)


def test_a_ratio_is_taken_round_by_round(small: Race) -> None:
    # Everything was half as fast in the second round; both met it, so the ratio does not move.
    assert small.contests[0].ratio("mnc", to="fast") == pytest.approx((0.8, 0.8, 0.8))
    assert small.contests[0].ratio("mnc", to="gone") is None


def test_the_timed_come_fastest_first_and_the_others_not_at_all(small: Race) -> None:
    assert [one.peer for one in small.contests[0].timed()] == ["mnc", "fast", "slow"]


def test_quartiles_of_one_value_are_that_value() -> None:
    assert results.quartiles([3.0]) == (3.0, 3.0, 3.0)
    assert results.quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0)


def test_a_race_is_read_back_as_it_was_saved(small: Race, tmp_path: Path) -> None:
    results.save(small, tmp_path / "race.json")
    assert results.load(tmp_path / "race.json") == small


def test_the_page_has_a_row_a_runtime_and_says_who_is_left_out(small: Race) -> None:
    text = page.markdown(small, picture="race.svg")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0].strip("| *") for row in rows[:4]] == [
        "runtime",
        "mnc",
        "Fast",
        "Slow",
    ]
    # one thread: median 10 ms, 500 times the bound; two: 5 ms, 500 times; scaling 2
    assert "| 10.00 (50.0%) | 500.00 | 5.000 (0.0%) | 500.00 | 2.00 | 2e-07 |" in rows[1]
    assert "| Gone | net | 1 | cannot be made: no / wheel |" in rows
    assert "mnc takes 0.800 [0.800, 0.800] of Fast, the best peer" in text
    assert "0123456789 with uncommitted changes" in text
    assert all(row.count(" | ") == rows[0].count(" | ") for row in rows[:4])


def test_a_race_in_integers_says_how_alike_the_answers_are_and_what_it_gains(small: Race) -> None:
    alike = {"agreement": 0.915, "logit_error": 0.2266}
    one = contest(1, entry("mnc", 0.01), entry("mnc-float32", 0.04), entry("fast", 0.02, **alike))
    titles = {**small.titles, "mnc-float32": "mnc, float32"}
    text = page.markdown(
        msgspec.structs.replace(race(one), precision="int8", titles=titles), picture=""
    )
    assert "mnc takes 0.500 [0.500, 0.500] of Fast, the best peer" in text
    assert "mnc takes 0.250 [0.250, 0.250] of itself in float32" in text
    assert "| 0.915 | 0.227 |" in text and "| top-1 as float | logit error |" in text
    assert "**mnc, float32**" in text


def test_the_page_compares_memory_and_size_with_the_least_of_any_peer() -> None:
    sizes = {"model_bytes": 17_000_000, "library_bytes": 0, "peak_growth": 25_000_000}
    big = {"model_bytes": 16_000_000, "library_bytes": 34_000_000, "peak_growth": 40_000_000}
    bigger = {"model_bytes": 20_000_000, "library_bytes": 15_000_000, "peak_growth": 50_000_000}
    made = race(
        contest(
            1, entry("mnc", 0.01, **sizes), entry("slow", 0.02, **big), entry("fast", 1, **bigger)
        )
    )
    text = page.markdown(made, picture="race.svg")
    assert (
        "- Against the peer with least, 1 thread: memory at its peak 25.0 MB, 0.62 of Slow's 40.0; "
        "model and libraries 17.0 MB, 0.49 of Fast's 35.0; model alone 17.0 MB, 1.06 of Slow's 16.0."
    ) in text
    assert "Against the peer" not in page.markdown(race(contest(1, entry("mnc", 1.0))), picture="")


def test_the_picture_names_every_runtime_and_cuts_long_bars(tmp_path: Path, small: Race) -> None:
    crawling = contest(1, entry("mnc", 0.010), entry("slow", 0.5))
    path = tmp_path / "race.svg"
    picture.draw(small, path)
    ElementTree.parse(path)
    text = path.read_text()
    assert all(f"<!-- {name} -->" in text for name in ("mnc", "Fast", "Slow"))
    assert "bar cut" not in text
    picture.draw(race(crawling), path)
    assert "500.0 (bar cut)" in path.read_text()
    first = path.read_bytes()
    picture.draw(race(crawling), path)
    assert path.read_bytes() == first, "the same race must give the same file"
