# SPDX-License-Identifier: Apache-2.0
"""What a value of a network in 8-bit integers may be before it is stored, and how it becomes 8 bits.

Takes Relay expressions of integers with their scales; gives Relay expressions. docs/int8.md says what each
computes, to the bit: integer sums, one float32 multiplication, one rounding (half to even), bounds.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import relay

from mnc.compile.frontend import rounding, storing
from mnc.compile.frontend.storing import ANY, UNBOUNDED, Bounds, Doubles, Grid, Reach
from mnc.model.quantization.operators import LARGEST_BIAS

EXACT_BITS = 15  # of a multiplier whose product with 9 bits has to be exact in float32's 24


class Form(Protocol):
    """A value that is not yet stored."""

    def quantized(self, grid: Grid) -> Any:
        """The value on a grid, as an expression of its dtype."""

    def floats(self) -> Any:
        """The value in float32."""


@dataclass(frozen=True)
class Summand:
    """float32 in steps of a grid, of magnitudes up to `largest`."""

    value: Any
    largest: float


@dataclass(frozen=True)
class Stored:
    """A map in memory, on its grid."""

    expr: Any
    grid: Grid

    def levels(self) -> Any:
        """q - zero in int32."""
        wide = relay.cast(self.expr, "int32")
        zero = self.grid.stored_zero
        return relay.subtract(wide, _int(zero)) if zero else wide

    def quantized(self, grid: Grid) -> Any:
        """On another grid."""
        if grid == self.grid:
            return self.expr
        ratio = np.float64(self.grid.scale) / np.float64(grid.scale)
        value = relay.multiply(_float(self.levels()), storing.number(ratio))
        return storing.narrowed(value, grid, UNBOUNDED, largest=256 * ratio)

    def summand(self, grid: Grid) -> "Summand":
        """The product is exact, so that a fused multiply-add gives the same."""
        ratio = short(np.float64(self.grid.scale) / np.float64(grid.scale))
        value = relay.multiply(_float(self.levels()), storing.number(ratio))
        return Summand(value, 256 * float(ratio))

    def floats(self) -> Any:
        """(q - zero) * scale."""
        return relay.multiply(_float(self.levels()), storing.number(self.grid.scale))


@dataclass(frozen=True)
class Sums:
    """int32 `expr`, of a `reach`, times `scale`: one number, or one a channel; what convolutions and poolings
    give.
    """

    expr: Any
    scale: Doubles
    bounds: Bounds = UNBOUNDED
    reach: Reach = ANY

    @classmethod
    def of_layer(
        cls, products: Any, values: NDArray[np.int8], scale: Doubles, grid: Grid
    ) -> "Sums":
        """Sums of w * (q - zero) from those of w * q: what the zero point adds is one number a channel."""
        extra = -grid.stored_zero * values.reshape(len(values), -1).astype(np.int64).sum(axis=1)
        shifted = storing.with_steps(products, extra) if extra.any() else products
        return cls(shifted, np.float64(grid.scale) * scale, reach=grid.reach.times(values))

    def bounded(self, low: float, high: float) -> "Sums":
        """With an activation after it."""
        return replace(self, bounds=self.bounds.within(low, high))

    @property
    def is_layer(self) -> bool:
        """Whether they are a convolution's or dense layer's, before any activation."""
        return self.scale.ndim == 1 and self.bounds == UNBOUNDED

    def takes_bias(self, numbers: Doubles) -> bool:
        """Whether these are one a channel, before any activation."""
        return self.is_layer and numbers.size == self.scale.size

    def biased(self, numbers: Doubles) -> "Sums":
        """With a bias, in steps of the sums."""
        rounded = np.rint(numbers / self.scale)
        steps = np.clip(rounded, -LARGEST_BIAS, LARGEST_BIAS).astype(np.int64)
        expr, reach = storing.with_steps(self.expr, steps), self.reach.plus(steps)
        return replace(self, expr=expr, reach=reach)

    def quantized(self, grid: Grid) -> Any:
        """One multiplication, one rounding."""
        by = self.scale / np.float64(grid.scale)
        value = self._steps(by, grid)
        if grid.dtype == "uint8":
            store = storing.saturated if _small(by, grid) else storing.rounded
            return store(value, grid, self.bounds)
        return storing.narrowed(value, grid, self.bounds, largest=self.reach.largest(by))

    def summand(self, grid: Grid) -> "Summand":
        """The product is rounded before anything is added to it."""
        by = self.scale / np.float64(grid.scale)
        return Summand(rounding.unfused(self._steps(by, grid)), self.reach.largest(by))

    def _steps(self, by: Doubles, grid: Grid) -> Any:
        """float32 in steps of the grid, which are `by` a sum."""
        arm = grid.dtype == "int8"
        sums = storing.floats(self.expr, self.reach) if arm else _float(self.expr)
        return relay.multiply(sums, _channels(by))

    def floats(self) -> Any:
        """One multiplication."""
        value = relay.multiply(_float(self.expr), _channels(self.scale))
        return _clipped(value, self.bounds)


@dataclass(frozen=True)
class Reshaped:
    """Sums in another shape."""

    sums: Sums
    shape: tuple[int, ...]

    def bounded(self, low: float, high: float) -> "Reshaped":
        """With an activation after it."""
        return replace(self, sums=self.sums.bounded(low, high))

    def quantized(self, grid: Grid) -> Any:
        """As the sums are, then reshaped."""
        return relay.reshape(self.sums.quantized(grid), self.shape)

    def floats(self) -> Any:
        """As the sums are, then reshaped."""
        return relay.reshape(self.sums.floats(), self.shape)


@dataclass(frozen=True)
class Concatenation:
    """Maps one after the other along an axis, each on its own grid."""

    parts: tuple[Stored, ...]
    axis: int

    def quantized(self, grid: Grid) -> Any:
        """All on the one grid."""
        return relay.concatenate([part.quantized(grid) for part in self.parts], self.axis)

    def floats(self) -> Any:
        """In float32."""
        return relay.concatenate([part.floats() for part in self.parts], self.axis)


@dataclass(frozen=True)
class Addition:
    """The sum of two maps, or of a convolution that is not stored and a map."""

    left: Stored | Sums
    right: Stored
    bounds: Bounds = UNBOUNDED

    def bounded(self, low: float, high: float) -> "Addition":
        """With an activation after it."""
        return replace(self, bounds=self.bounds.within(low, high))

    def quantized(self, grid: Grid) -> Any:
        """One rounded sum of both, then one rounding to the grid."""
        left, right = self.left.summand(grid), self.right.summand(grid)
        value, largest = relay.add(left.value, right.value), left.largest + right.largest
        return storing.narrowed(value, grid, self.bounds, largest=largest)

    def floats(self) -> Any:
        """In float32."""
        return _clipped(relay.add(self.left.floats(), self.right.floats()), self.bounds)


@dataclass(frozen=True)
class Function:
    """A function of one map's numbers: its `values` at 0 to 255, in float64; `floating`: in float32."""

    source: Stored
    values: Doubles
    floating: Any

    def quantized(self, grid: Grid) -> Any:
        """Looked up in a table of 256, whose order is that of bytes without a sign."""
        with np.errstate(invalid="ignore"):
            levels = np.clip(np.rint(self.values / np.float64(grid.scale) + grid.zero), 0, 255)
        table = np.nan_to_num(levels).astype(np.int64) - grid.offset
        stored = self.source.expr
        if offset := self.source.grid.offset:
            table, stored = np.roll(table, offset), relay.reinterpret(stored, "uint8")
        entries = relay.const(table.astype(grid.dtype))
        return relay.take(entries, relay.cast(stored, "int32"), mode="fast")

    def floats(self) -> Any:
        """In float32."""
        return self.floating


def quantized(value: Any, grid: Grid) -> Any:
    """A float32 expression on a grid."""
    inverse = storing.number(np.float32(1) / np.float32(grid.scale))
    return storing.rounded(relay.multiply(value, inverse), grid, UNBOUNDED)


def inputs_of(stored: Stored) -> Doubles:
    """What the numbers 0 to 255 of a map stand for."""
    return (np.arange(256, dtype=np.float64) - stored.grid.zero) * np.float64(stored.grid.scale)


def short(value: np.float64) -> np.float64:
    """The nearest number of EXACT_BITS significant bits."""
    mantissa, exponent = np.frexp(value)
    return np.float64(np.ldexp(np.rint(np.ldexp(mantissa, EXACT_BITS)), exponent - EXACT_BITS))


def _small(by: Doubles, grid: Grid) -> bool:
    """Whether 32-bit sums times `by` can be rounded without their bounds, on this grid."""
    return bool(grid.zero % 2 == 0 and np.max(by) < 0.99)


def _clipped(value: Any, bounds: Bounds) -> Any:
    if bounds == UNBOUNDED:
        return value
    if np.isinf(bounds.high):
        return relay.maximum(value, storing.number(bounds.low))
    return relay.clip(value, float(max(bounds.low, -3.4e38)), float(bounds.high))


def _float(expr: Any) -> Any:
    return relay.cast(expr, "float32")


def _int(value: int) -> Any:
    return relay.const(np.asarray(value, np.int32))


def _channels(scale: Doubles) -> Any:
    """For maps of (N, C, H, W)."""
    numbers = scale.astype(np.float32)
    return relay.const(numbers.reshape(1, -1, 1, 1) if numbers.ndim else numbers)
