# SPDX-License-Identifier: Apache-2.0
"""What a network is held to: its function of numpy arrays in the runtime that it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Example = tuple[Array, ...]
STEADY = 2.5e-5  # of the largest output: a quarter of what compiled outputs may differ by


@dataclass(frozen=True)
class Reference:
    """`name` is the runtime's, as "PyTorch". A call takes an array for each input and gives the outputs."""

    name: str
    run: Callable[..., tuple[Array, ...]]

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """The outputs."""
        return self.run(*inputs)


def steady(
    reference: Reference, examples: Sequence[Example], outputs: Sequence[Example]
) -> list[int]:
    """Which of the examples tell right from wrong: those whose outputs stay where each input moves to its
    neighbour in float32, in `STEADY`; all where none does.

    Of others, as noise of which a detector's last sigmoid makes 1e-4, the runtime's own rounding shows more
    than a compiler's faults.
    """
    kept = [
        place
        for place, (inputs, wanted) in enumerate(zip(examples, outputs, strict=True))
        if _moved(wanted, reference(*map(_neighbour, inputs))) <= STEADY
    ]
    return kept or list(range(len(examples)))


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
