# SPDX-License-Identifier: Apache-2.0
"""Ranges of simulated totals: they hold most of the boards that were compared, and say what they rest on."""

import pytest

from mnc.compile.simulator import totals
from mnc.compile.simulator.totals import Total, total_by, total_of
from mnc.targets import load, names


def test_most_published_latencies_lie_within_their_ranges() -> None:
    rows = totals.read()
    within = [
        found.low <= row.published <= found.high
        for row in rows
        for found in [total_of(row.predicted, core=row.core, threads=row.threads)]
    ]
    assert len(rows) > 25
    assert 0.75 <= sum(within) / len(rows) <= 0.97  # 8 of 10 are meant; more would be too wide


def test_a_core_that_was_never_compared_says_so_and_has_the_widest_range() -> None:
    never = total_of(0.1, core="cortex-a57", threads=1)
    assert never.rows == 0 and "no published latency of a cortex-a57 at one thread" in never.basis
    for core in {row.core for row in totals.read() if row.threads == 1}:
        known = total_of(0.1, core=core, threads=1)
        assert (
            known.rows and f"{known.rows} published latencies of the {core} at one" in known.basis
        )
        assert never.high / never.low > known.high / known.low


def test_every_target_has_a_range_at_one_thread_and_at_all() -> None:
    for target in map(load, names()):
        for threads in {1, target.fast.count}:
            found = total_of(0.033, core=target.fast.cpu, threads=threads)
            assert 0 < found.low < found.high, target.name


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0334, "33.4 ms (27 to 41)"),
        (1.3344, "1330 ms (1100 to 1600)"),
        (0.0000124, "0.0124 ms (0.0099 to 0.015)"),
        (0.0, "0 ms (0 to 0)"),
    ],
)
def test_a_total_reads_as_milliseconds_with_its_range(seconds: float, text: str) -> None:
    assert str(Total(seconds, 0.8 * seconds, 1.23 * seconds, "cortex-a72", 1, 3)) == text


def test_a_logs_total_is_of_the_core_and_threads_that_its_measurer_names() -> None:
    found = total_by("simulated v1-8a13b24a cortex-a72-4567cdef cold threads=4", 0.05)
    assert found == total_of(0.05, core="cortex-a72", threads=4)
    assert total_by("rpc cortex-a72 threads=4", 0.05) is None
