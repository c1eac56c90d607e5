# SPDX-License-Identifier: Apache-2.0
"""Recorded kernels cost what they cost when recorded, to the last bit: the core model is the same."""

import pytest

from tests.compile.simulator import recorded_costs
from tests.compile.simulator.recorded_costs import ANOTHER_MODEL, Case, cases, cost, recorded

RECORDED = recorded()


def test_every_case_is_recorded() -> None:
    assert [str(case) for case in cases()] == list(RECORDED)
    assert len(RECORDED) >= 100


@pytest.mark.parametrize("case", cases(), ids=str)
def test_costs_what_it_did(case: Case) -> None:
    again = f"python -m {recorded_costs.__name__} writes them anew"
    assert cost(case) == RECORDED[str(case)], f"{ANOTHER_MODEL} {again}"


def test_a_long_kernel_is_timed_in_part() -> None:
    """Else nothing here would hold the sampling."""
    sampled, exact = (RECORDED[f"aarch64-long cortex-a76 warm 1{how}"] for how in ("", " exact"))
    assert sampled.counts["instructions"] == exact.counts["instructions"]
    assert sampled.cycles != exact.cycles
