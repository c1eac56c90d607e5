# SPDX-License-Identifier: Apache-2.0
"""Examples of which a runtime is not sure itself tell nothing of a compiler."""

import numpy as np

from mnc.model.reference import LOUDER, Array, Example, Reference, steady


def _steady(numbers: list[float]) -> list[float]:
    def waves(x: Array) -> Example:
        return (np.sin(x.astype(np.float64) * 1e5).astype(np.float32),)

    examples = [(np.full((1, 4), one, np.float32),) for one in numbers]
    pairs = steady(Reference("waves", waves), examples)
    assert all(wanted[0].tolist() == waves(inputs[0])[0].tolist() for inputs, wanted in pairs)
    return [float(inputs[0][0, 0]) for inputs, _ in pairs]


def test_an_example_stays_where_its_outputs_hold() -> None:
    assert _steady([0.0, 1.0, float(np.float32(1e-5)), 3.0]) == [0.0, float(np.float32(1e-5))]


def test_all_stay_where_none_does() -> None:
    assert _steady([1.0, 3.0]) == [1.0, 3.0]


def test_where_a_network_sees_nothing_its_examples_are_louder() -> None:
    def detector(x: Array) -> Example:
        return (np.where(x > 4, x, np.sin(x.astype(np.float64) * 1e5)).astype(np.float32),)

    pairs = steady(Reference("detector", detector), [(np.array([0.9], np.float32),)])
    assert [float(inputs[0][0]) for inputs, _ in pairs] == [np.float32(0.9) * np.float32(LOUDER)]


def test_what_is_no_number_either_way_counts_as_equal() -> None:
    def logarithms(x: Array) -> Example:
        with np.errstate(invalid="ignore"):
            return (np.log(x),)

    example = (np.array([-1.0, 2.0], np.float32),)
    assert steady(Reference("logarithms", logarithms), [example])[0][0] is example
    whole = (np.array([3], np.int64),)
    assert steady(Reference("same", lambda x: (x,)), [whole])[0][0] is whole
