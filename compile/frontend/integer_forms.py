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

from mnc.compile.frontend import storing
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

    def takes_bias(self, numbers: Doubles) -> bool:
        """Whether these are one a channel, before any activation."""
        one_each = self.scale.ndim == 1 and numbers.size == self.scale.size
        return one_each and self.bounds == UNBOUNDED

    def biased(self, numbers: Doubles) -> "Sums":
        """With a bias, in steps of the sums."""
        rounded = np.rint(numbers / self.scale)
        steps = np.clip(rounded, -LARGEST_BIAS, LARGEST_BIAS).astype(np.int64)
        expr, reach = storing.with_steps(self.expr, steps), self.reach.plus(steps)
        return replace(self, expr=expr, reach=reach)

    def quantized(self, grid: Grid) -> Any:
        """One multiplication, one rounding."""
        by = self.scale / np.float64(grid.scale)
        if grid.dtype == "uint8":
            value = relay.multiply(_float(self.expr), _channels(by))
            store = storing.saturated if _small(by, grid) else storing.rounded
            return store(value, grid, self.bounds)
        value = relay.multiply(storing.floats(self.expr, self.reach), _channels(by))
        return storing.narrowed(value, grid, self.bounds, largest=self.reach.largest(by))

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
    """The sum of two maps."""

    left: Stored
    right: Stored
    bounds: Bounds = UNBOUNDED

    def bounded(self, low: float, high: float) -> "Addition":
        """With an activation after it."""
        return replace(self, bounds=self.bounds.within(low, high))

    def quantized(self, grid: Grid) -> Any:
        """Both products are exact, so that a fused multiply-add gives the same."""
        by = [
            short(np.float64(one.grid.scale) / np.float64(grid.scale))
            for one in (self.left, self.right)
        ]
        left, right = (
            relay.multiply(_float(one.levels()), storing.number(ratio))
            for one, ratio in zip((self.left, self.right), by, strict=True)
        )
        value = relay.add(left, right)
        return storing.narrowed(value, grid, self.bounds, largest=256 * float(sum(by)))

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
