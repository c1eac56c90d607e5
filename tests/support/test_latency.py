# SPDX-License-Identifier: Apache-2.0
"""What is said of repeated times."""

import pytest

from mnc.support.latency import Latency


def test_latency_statistics() -> None:
    latency = Latency(tuple(float(value) for value in (10, 1, 2, 3, 4, 5, 6, 7, 8, 9)))
    assert (latency.minimum, latency.median, latency.p90) == (1, 5.5, 9)
    assert latency.spread == pytest.approx((7.75 - 3.25) / 5.5)
    assert Latency((1.0,)).p90 == 1.0
    assert Latency((1.0,)).spread == 0.0
