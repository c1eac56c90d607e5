# SPDX-License-Identifier: Apache-2.0
"""Examples of which a runtime is not sure itself tell nothing of a compiler."""

import numpy as np

from mnc.model.reference import Array, Example, Reference, steady


def _steady(numbers: list[float]) -> list[int]:
    def waves(x: Array) -> Example:
        return (np.sin(x.astype(np.float64) * 1e5).astype(np.float32),)

    examples = [(np.full((1, 4), one, np.float32),) for one in numbers]
    reference = Reference("waves", waves)
    return steady(reference, examples, [reference(*one) for one in examples])


def test_an_example_stays_where_its_outputs_hold() -> None:
    assert _steady([0.0, 1.0, 1e-5, 3.0]) == [0, 2]


def test_all_stay_where_none_does() -> None:
    assert _steady([1.0, 3.0]) == [0, 1]


def test_what_is_no_number_either_way_counts_as_equal() -> None:
    def logarithms(x: Array) -> Example:
        with np.errstate(invalid="ignore"):
            return (np.log(x),)

    example = (np.array([-1.0, 2.0], np.float32),)
    assert steady(Reference("logarithms", logarithms), [example], [logarithms(*example)]) == [0]
    whole = (np.array([3], np.int64),)
    assert steady(Reference("same", lambda x: (x,)), [whole], [whole]) == [0]
