# SPDX-License-Identifier: Apache-2.0
"""Errors, scale and ranking against figures worked out by hand."""

import math

import pytest

from bench.core_model import arithmetic, statistics
from bench.core_model.convolution import LoggedConvolution
from mnc.targets import load

POINTWISE = LoggedConvolution(False, 512, 14, 14, 512, (1, 1), (1, 1), (0, 0, 0, 0))
DEPTHWISE = LoggedConvolution(True, 64, 112, 112, 64, (3, 3), (2, 2), (1, 1, 1, 1))


def test_a_constant_factor_is_no_error() -> None:
    pairs = [(real, 0.5 * real) for real in (1.0, 3.0, 7.0)]
    one = statistics.fit(pairs, scale=statistics.scale_of(pairs))
    assert one.scale == pytest.approx(0.5)
    assert one.mape == pytest.approx(0.0, abs=1e-12)
    assert one.sd_log == pytest.approx(0.0, abs=1e-12)
    assert one.spearman == pytest.approx(1.0)


def test_errors_by_hand() -> None:
    pairs = [(1.0, 1.0), (1.0, math.e)]
    one = statistics.fit(pairs, scale=statistics.scale_of(pairs))
    assert one.scale == pytest.approx(math.sqrt(math.e))
    # After the factor: e^-1/2 and e^1/2 for 1.
    assert one.mape == pytest.approx((1 - math.exp(-0.5) + math.exp(0.5) - 1) / 2)
    assert one.worst == pytest.approx(math.exp(0.5) - 1)
    assert one.sd_log == pytest.approx(math.sqrt(0.5))
    assert one.spearman is None


def test_the_networks_sum_counts_calls() -> None:
    assert statistics.sum_error([(1, 1.0, 4.0), (3, 2.0, 2.0)], scale=2.0) == pytest.approx(
        (2.0 + 3.0) / 7.0 - 1.0
    )


def test_only_pairs_apart_are_ranked_and_a_tie_is_wrong() -> None:
    rows = [
        ("a", 1.0, 10.0),
        ("a", 1.1, 5.0),  # within 15 % of the first
        ("a", 2.0, 20.0),  # right against the first, right against the second
        ("b", 1.0, 3.0),
        ("b", 2.0, 3.0),  # a tie
        ("c", 9.0, 1.0),  # alone
    ]
    assert statistics.ranking(rows) == statistics.Ranking(pairs=3, right=2)
    assert statistics.Ranking(0, 0).share is None


def test_roofline_takes_the_longer_of_the_two() -> None:
    target = load("rk3399")
    # 14.4 GFLOP/s a core at 1.8 GHz and 8 a cycle.
    compute = POINTWISE.flops / (2 * 14.4e9)
    assert arithmetic.proportional(POINTWISE, target, threads=2) == pytest.approx(compute)
    assert arithmetic.roofline(POINTWISE, target, threads=2) == pytest.approx(compute)
    moved = 4 * (64 * 112 * 112 + 64 * 9 + 64 * 56 * 56)
    memory = moved / (target.memory.bandwidth_gb_s * 1e9)
    assert arithmetic.roofline(DEPTHWISE, target, threads=2) == pytest.approx(memory)
    assert arithmetic.proportional(DEPTHWISE, target, threads=2) < memory
