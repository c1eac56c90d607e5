# SPDX-License-Identifier: Apache-2.0
"""Where a depthwise convolution that reads several columns at once finds its taps, by arithmetic alone.

Takes sizes of the map and the window; gives, of outputs and taps (numbers or TE's variables), pixels, whether
they are inside, and how far a load that may not leave the map has moved. TE bounds a choice by those
of both sides: nothing that says where to read is one.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from tvm import te, tir


@dataclass(frozen=True)
class Axis:
    """One direction of the window: `size` pixels, `taps` of them `apart` for each of `out` outputs `stride`
    apart, the first of which begins `before` the edge.
    """

    size: int
    taps: int
    stride: int
    apart: int
    before: int
    out: int

    @cached_property
    def edges(self) -> tuple[int, int]:
        """How many outputs at the beginning and at the end read beyond it."""
        first = min(-(-self.before // self.stride), self.out)
        whole = (self.size + self.before - (self.taps - 1) * self.apart - 1) // self.stride + 1
        last = max(self.out - max(whole, 0), 0)
        return (self.out - 1, 0) if first + last >= self.out else (first, last)

    @property
    def cases(self) -> int:
        """Outputs that differ in what they read beyond the edges."""
        return sum(self.edges) + 1

    def case(self, at: Any) -> Any:
        """That of an output."""
        first, last = self.edges
        return te.min(at, first) + te.max(at - (self.out - 1 - last), 0)

    def output(self, case: Any) -> Any:
        """The first output of a case."""
        first, last = self.edges
        return case + tir.Select(case > first, self.out - 1 - last - first, 0)

    def inside(self, at: Any, tap: Any) -> Any:
        """Whether output `at` finds its `tap` in the map."""
        pixel = self.pixel(at, tap)
        return tir.all(pixel >= 0, pixel < self.size)

    def pixel(self, at: Any, tap: Any) -> Any:
        """Where output `at` has its `tap`."""
        return at * self.stride + tap * self.apart - self.before


@dataclass(frozen=True)
class Columns:
    """How columns are read: in steps of `loads` vectors of `width` pixels each, for `outputs` pixels."""

    axis: Axis
    width: int

    @property
    def loads(self) -> int:
        """Vectors that hold a row of taps."""
        return -(-self.axis.taps // self.width)

    @property
    def outputs(self) -> int:
        """Output pixels whose taps the vectors of a step hold."""
        return (self.loads * self.width - self.axis.taps) // self.axis.stride + 1

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Of an output of a step and one of its loads."""
        return list(product(range(self.outputs), range(self.loads)))

    def start(self, step: Any, load: Any) -> Any:
        """The column where a load begins: at an edge where it would begin, or end, outside."""
        return te.max(te.min(self._wanted(step, load), self.axis.size - self.width), 0)

    def moved(self, step: Any, load: Any) -> Any:
        """How far that is from where it would begin, from 0 to `moves`; `back` of it is where it would."""
        return self.start(step, load) - self._wanted(step, load) + self.back

    @property
    def moves(self) -> int:
        """The farthest."""
        return self.back + self.axis.before

    @property
    def back(self) -> int:
        """Columns by which the last load goes back."""
        last = self._wanted((self.axis.out - 1) // self.outputs, self.loads - 1)
        return max(int(last) + self.width - self.axis.size, 0)

    def _wanted(self, step: Any, load: Any) -> Any:
        return step * (self.outputs * self.axis.stride) + load * self.width - self.axis.before

    def tap(self, output: int, load: int, byte: int) -> int | None:
        """Which tap a byte of a load that begins where it would has for an output of the step."""
        tap = load * self.width + byte - output * self.axis.stride
        return tap if 0 <= tap < self.axis.taps else None


def whole(index: Any, size: int, *axes: Any) -> Any:
    """`index`, of an axis of this size, in a form by which TE takes that to be read from end to end at every
    turn of `axes`: it bounds each mention of an axis alone.
    """
    return index + size * sum(axis - axis for axis in axes)
