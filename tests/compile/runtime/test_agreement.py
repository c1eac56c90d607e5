# SPDX-License-Identifier: Apache-2.0
"""Agreement of integers with float32, as its figures are defined."""

import numpy as np
import pytest

from mnc.compile.runtime.agreement import compared


def test_shares_and_error_are_of_all_examples_together() -> None:
    truth = np.eye(4, 8, dtype=np.float32) * 10
    made = truth.copy()
    made[1, 1], made[1, 2] = 8, 9  # second likeliest now
    made[2] = np.arange(8, 0, -1)  # third of the eight
    made[3] = np.arange(8)  # fifth: still among five
    found = compared(truth, made, np.array([0, 1, 2, 7]), "rows")
    assert (found.examples, found.top1, found.top5) == (4, 0.25, 1.0)
    assert (found.right, found.right_in_float) == (0.5, 0.75)
    off = (truth - made).astype(np.float64)
    assert found.logit_error == pytest.approx(np.linalg.norm(off) / np.linalg.norm(truth))
