# SPDX-License-Identifier: Apache-2.0
"""Which seven products `strassen` makes: of which parts of the map, begun at what, and where they go.

Gives `PRODUCTS`, in the order in which they are made, and the `sums` of the map's quarters that they read.
The weights' are those of `strassen_weights`.
"""

from dataclasses import dataclass
from typing import Any

from mnc.compile.templates.lane_kernel import Part

BLOCK = 4  # channels, the floats of a vector


@dataclass(frozen=True)
class Quarter:
    """Half of the pixels and half of the channels of a map, 0 or 1."""

    pixels: int
    channels: int


FIRST, SECOND, THIRD, FOURTH = (Quarter(p, c) for p in (0, 1) for c in (0, 1))


@dataclass(frozen=True)
class Result:
    """Where a product's sums go. `onto`: what is there is added first; `final`: the output's own."""

    quarter: Quarter
    onto: bool = False
    final: bool = False


@dataclass(frozen=True)
class Product:
    """Of a quarter of the map, or one of the four sums by number, and weights. It starts from what quarters
    of the output hold, added up; where there are none, from the bias of its result's channels.
    """

    source: Quarter | int
    starts: tuple[Quarter, ...]
    results: tuple[Result, ...]

    @property
    def part(self) -> Part:
        """Of `lane_kernel`'s."""
        return Part.BEGUN if self.starts else Part.BIASED


# Winograd's form. The output's quarters hold what others start from until they are final themselves.
PRODUCTS = (
    Product(FIRST, (), (Result(THIRD),)),
    Product(SECOND, (THIRD,), (Result(FIRST, final=True),)),
    Product(1, (THIRD,), (Result(THIRD),)),
    Product(0, (), (Result(FOURTH),)),
    Product(3, (THIRD, FOURTH), (Result(SECOND, final=True),)),
    Product(2, (THIRD,), (Result(THIRD), Result(FOURTH, onto=True, final=True))),
    Product(FOURTH, (THIRD,), (Result(THIRD, final=True),)),
)


def sums(first: Any, second: Any, third: Any, fourth: Any) -> tuple[Any, ...]:
    """The four of the map's quarters."""
    below = third + fourth
    return below, below - first, first - third, second - (below - first)
