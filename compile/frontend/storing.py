# SPDX-License-Identifier: Apache-2.0
"""How a float32 value becomes a number of a grid of 8 bits: Relay expressions, of Relay expressions.

One rounding, ties to even, then bounds. Adding 1.5 * 2**23 rounds: the sum has no bits for fractions, and its
last bytes are the integer. All functions give the same numbers; which is used is a matter of what a CPU has
instructions for and of how large a value can be.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relay

from mnc.compile.frontend import rounding
from mnc.compile.frontend.expressions import is_call
from mnc.compile.templates.packed_image import ROUNDER

WHOLE = 2**23  # float32 has no fractions from there on
WHOLE_BITS = 0x4B000000  # of that number
MOST_HALF = 32000  # rounded values below it fit 16 bits, zero point included
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """8-bit numbers q that stand for (q - zero) * scale; in memory as `dtype`, uint8 or int8."""

    scale: float
    zero: int
    dtype: str

    @property
    def offset(self) -> int:
        """What is taken off q in memory."""
        return 128 if self.dtype == "int8" else 0

    @property
    def stored_zero(self) -> int:
        """The zero point as it is in memory."""
        return self.zero - self.offset

    @property
    def reach(self) -> "Reach":
        """Of q - zero."""
        return Reach(np.asarray(-self.zero), np.asarray(255 - self.zero))

    def level(self, value: float) -> int:
        """The number nearest to `value`, 0 to 255."""
        if not np.isfinite(value):
            return 255 if value > 0 else 0
        return int(np.clip(np.rint(value / self.scale) + self.zero, 0, 255))


@dataclass(frozen=True)
class Bounds:
    """What an activation keeps its values within."""

    low: float = -np.inf
    high: float = np.inf

    def within(self, low: float, high: float) -> "Bounds":
        """Both this and what came before."""
        return Bounds(min(max(self.low, low), high), max(min(self.high, high), low))


@dataclass(frozen=True)
class Reach:
    """Between which integers values lie, whatever the map holds: one number, or one a channel."""

    low: Integers
    high: Integers

    def times(self, values: NDArray[np.int8]) -> "Reach":
        """Of the sums over all axes but the first of `values` times integers of this reach, or of fewer of
        them and zeros.
        """
        flat = values.reshape(len(values), -1).astype(np.int64)
        above, below = flat.clip(min=0).sum(axis=1), flat.clip(max=0).sum(axis=1)
        low, high = min(self.low, 0), max(self.high, 0)
        return Reach(above * low + below * high, above * high + below * low)

    def product(self, other: "Reach") -> "Reach":
        """Of products with integers of another."""
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Reach(np.min(ends, axis=0), np.max(ends, axis=0))

    def each(self, count: int) -> "Reach":
        """Of sums of so many."""
        return Reach(self.low * count, self.high * count)

    def plus(self, steps: Integers) -> "Reach":
        """With one number a channel more."""
        return Reach(self.low + steps, self.high + steps)

    def largest(self, by: Doubles) -> float:
        """Of the magnitudes, each times its channel's number."""
        return float(np.max(np.maximum(np.abs(self.low), np.abs(self.high)) * np.abs(by)))


UNBOUNDED = Bounds()
ANY = Reach(np.asarray(-(2**31)), np.asarray(2**31 - 1))  # of 32 bits


def floats(sums: Any, reach: Reach) -> Any:
    """int32 `sums` in float32. Where they differ by less than 2**23 it takes no conversion, for which ARM
    has fewer units than for additions: a sum in the last bits of a large number is one already.
    """
    low, high = int(np.min(reach.low)), int(np.max(reach.high))
    if high - low >= WHOLE or abs(low) > WHOLE:
        return relay.cast(sums, "float32")
    bits = with_steps(sums, np.asarray([WHOLE_BITS - low]))
    return relay.subtract(relay.reinterpret(bits, "float32"), number(WHOLE - low))


def with_steps(sums: Any, steps: Integers) -> Any:
    """int32 `sums` (N, C, H, W) and one number a channel, or one for all; with one that they have already."""
    if is_call(sums, "add") and isinstance(sums.args[1], relay.Constant):
        steps = steps + sums.args[1].data.numpy().reshape(-1).astype(np.int64)
        sums = sums.args[0]
    more = steps.astype(np.int32)
    return relay.add(sums, relay.const(more.reshape(1, -1, 1, 1) if more.size > 1 else more[0]))


def rounded(value: Any, grid: Grid, bounds: Bounds) -> Any:
    """float32 `value`, in steps of the grid from its zero point, as the nearest number within bounds.

    The bounds stand between a multiplication and the addition, so that no compiler makes one instruction,
    with one rounding less, of the two.
    """
    low, high = grid.level(bounds.low), grid.level(bounds.high)
    kept = relay.clip(value, float(low - grid.zero), float(high - grid.zero))
    return relay.cast(_shifted(kept, grid), grid.dtype)


def rounded_product(stored: Any) -> tuple[Any, float, int] | None:
    """(value, factor, zero point) where `stored` is `rounded` of their product without bounds, else None."""
    chain = [stored]
    for name in ("cast", "reinterpret", "add", "clip", "multiply"):
        if not is_call(chain[-1], name):
            return None
        chain.append(chain[-1].args[0])
    cast, _, shifted, kept, product, value = chain
    constants = [one.args[1] for one in (product, shifted)]
    if not all(isinstance(one, relay.Constant) and one.data.numpy().ndim == 0 for one in constants):
        return None
    factor, shift = (one.data.numpy().item() for one in constants)
    zero = int(shift) - ROUNDER + Grid(1.0, 0, cast.attrs.dtype).offset
    unbounded = (kept.attrs.a_min, kept.attrs.a_max) == (-zero, 255 - zero)
    return (value, factor, zero) if unbounded else None


def narrowed(value: Any, grid: Grid, bounds: Bounds, *, largest: float) -> Any:
    """As `rounded`, of values of at most that magnitude, for ARM's instructions that saturate as they halve
    numbers: with those, most bounds cost nothing.
    """
    if grid.dtype != "int8" or largest > MOST_HALF:
        return rounded(value, grid, bounds)
    half = relay.cast(_shifted(rounding.unfused(value), grid), "int16")
    stored = relay.cast(relay.clip(half, -128.0, 127.0), "int8")
    low, high = (grid.level(bound) - grid.offset for bound in (bounds.low, bounds.high))
    return stored if (low, high) == (-128, 127) else relay.clip(stored, float(low), float(high))


def _shifted(value: Any, grid: Grid) -> Any:
    """The integer nearest to `value` plus the zero point, in the last bits of an int32."""
    return relay.reinterpret(relay.add(value, number(ROUNDER + grid.stored_zero)), "int32")


def saturated(value: Any, grid: Grid, bounds: Bounds) -> Any:
    """As `rounded`, of values that 32 bits hold and a zero point that is even, so that ties stay even: x86
    has an instruction that rounds, and one that makes 8 bits of 32 within their bounds.
    """
    nearest = rounding.nearest(value)
    level = relay.clip(
        relay.add(nearest, relay.const(np.int32(grid.zero))) if grid.zero else nearest,
        float(grid.level(bounds.low)),
        float(grid.level(bounds.high)),
    )
    return relay.cast(level, grid.dtype)


def number(value: Any) -> Any:
    """A float32 constant."""
    return relay.const(np.asarray(value, np.float32))
