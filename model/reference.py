# SPDX-License-Identifier: Apache-2.0
"""What a network is held to: its function of numpy arrays in the runtime that it comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Reference:
    """`name` is the runtime's, as "PyTorch". A call takes an array for each input and gives the outputs."""

    name: str
    run: Callable[..., tuple[Array, ...]]

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """The outputs."""
        return self.run(*inputs)
