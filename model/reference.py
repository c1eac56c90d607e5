# SPDX-License-Identifier: Apache-2.0
"""What a network is held to: its function of numpy arrays in the runtime that it comes from."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Example = tuple[Array, ...]
STEADY = 2.5e-5  # of the largest output: a quarter of what compiled outputs may differ by
LOUDER = 16.0


@dataclass(frozen=True)
class Reference:
    """`name` is the runtime's, as "PyTorch". A call takes an array for each input and gives the outputs."""

    name: str
    run: Callable[..., tuple[Array, ...]]

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """The outputs."""
        return self.run(*inputs)


def answered(
    reference: Reference, examples: Sequence[Example], *, precision: str
) -> list[tuple[Example, Example]]:
    """The examples with their outputs; of a network in float32 the `steady` ones."""
    if precision == "float32":
        return steady(reference, examples)
    return [(inputs, reference(*inputs)) for inputs in examples]


def steady(reference: Reference, examples: Sequence[Example]) -> list[tuple[Example, Example]]:
    """The examples that tell right from wrong, with their outputs: those whose outputs stay where each input
    moves to its neighbour in float32, in `STEADY`. Where none does, the same `LOUDER`; all as they are
    where none of those does either.

    Of others, as noise too faint for a detector, whose last sigmoid makes 1e-5 of it, the runtime's own
    rounding shows more than a compiler's faults.
    """
    asked = [(inputs, reference(*inputs)) for inputs in examples]
    if kept := _kept(reference, asked):
        return kept
    louder = [(inputs, reference(*inputs)) for inputs in map(_louder, examples)]
    finite = [pair for pair in louder if all(np.isfinite(one).all() for one in pair[1])]
    return _kept(reference, finite) or asked


def _kept(
    reference: Reference, pairs: Iterable[tuple[Example, Example]]
) -> list[tuple[Example, Example]]:
    return [
        (inputs, wanted)
        for inputs, wanted in pairs
        if _moved(wanted, reference(*map(_neighbour, inputs))) <= STEADY
    ]


def _louder(inputs: Example) -> Example:
    return tuple(one * np.float32(LOUDER) if one.dtype == np.float32 else one for one in inputs)


def _neighbour(values: Array) -> Array:
    if values.dtype != np.float32:
        return values
    ends = np.array([-np.inf, np.inf], np.float32)
    moved: Array = np.nextafter(values, np.random.default_rng(0).choice(ends, values.shape))
    return moved


def _moved(before: Example, after: Example) -> float:
    """The largest difference of an output, of its largest number; what is no number on both sides is 0."""
    with np.errstate(invalid="ignore"):
        shares = [
            np.nan_to_num(np.abs(one - other), nan=0.0).max(initial=0.0)
            / (np.abs(one).max(initial=0.0) or 1.0)
            for one, other in zip(before, after, strict=True)
        ]
    return float(max(shares, default=0.0))
