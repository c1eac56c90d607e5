# SPDX-License-Identifier: Apache-2.0
"""What a value of a network in 8-bit integers may be before it is stored, and how it becomes 8 bits.

Takes Relay expressions of integers with their scales; gives Relay expressions. docs/int8.md says what each
computes, to the bit: integer sums, one float32 multiplication, one rounding (half to even), bounds. Adding
1.5 * 2**23 rounds: the sum has no bits for fractions, and its last byte is the integer.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import relay

from mnc.compile.frontend import rounding
from mnc.compile.frontend.expressions import is_call
from mnc.model.quantization.operators import LARGEST_BIAS

ROUNDER = 12582912  # 1.5 * 2**23
EXACT_BITS = 15  # of a multiplier whose product with 9 bits has to be exact in float32's 24
Doubles = NDArray[np.float64]


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
        return _rounded(relay.multiply(_float(self.levels()), _number(ratio)), grid, Bounds())

    def floats(self) -> Any:
        """(q - zero) * scale."""
        return relay.multiply(_float(self.levels()), _number(self.grid.scale))


@dataclass(frozen=True)
class Sums:
    """int32 `expr` times `scale`: one number, or one a channel; what convolutions and poolings give."""

    expr: Any
    scale: Doubles
    bounds: Bounds = Bounds()

    @classmethod
    def of_layer(
        cls, products: Any, values: NDArray[np.int8], scale: Doubles, grid: Grid
    ) -> "Sums":
        """Sums of w * (q - zero) from those of w * q: what the zero point adds is one number a channel."""
        extra = -grid.stored_zero * values.reshape(len(values), -1).astype(np.int64).sum(axis=1)
        shifted = relay.add(products, _steps(extra)) if extra.any() else products
        return cls(shifted, np.float64(grid.scale) * scale)

    def bounded(self, low: float, high: float) -> "Sums":
        """With an activation after it."""
        return replace(self, bounds=self.bounds.within(low, high))

    def takes_bias(self, numbers: Doubles) -> bool:
        """Whether these are one a channel, before any activation."""
        one_each = self.scale.ndim == 1 and numbers.size == self.scale.size
        return one_each and self.bounds == Bounds()

    def biased(self, numbers: Doubles) -> "Sums":
        """With a bias, in steps of the sums."""
        rounded = np.rint(numbers / self.scale)
        steps = np.clip(rounded, -LARGEST_BIAS, LARGEST_BIAS).astype(np.int64)
        expr = self.expr
        if is_call(expr, "add") and isinstance(expr.args[1], relay.Constant):  # the zero point's
            steps += expr.args[1].data.numpy().reshape(-1).astype(np.int64)
            expr = expr.args[0]
        return replace(self, expr=relay.add(expr, _steps(steps)))

    def quantized(self, grid: Grid) -> Any:
        """One multiplication, one rounding."""
        by = self.scale / np.float64(grid.scale)
        value = relay.multiply(_float(self.expr), _channels(by))
        return (
            _saturated(value, grid, self.bounds)
            if _small(by, grid)
            else _rounded(value, grid, self.bounds)
        )

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
    bounds: Bounds = Bounds()

    def bounded(self, low: float, high: float) -> "Addition":
        """With an activation after it."""
        return replace(self, bounds=self.bounds.within(low, high))

    def quantized(self, grid: Grid) -> Any:
        """Both products are exact, so that a fused multiply-add gives the same."""
        left, right = (
            relay.multiply(
                _float(one.levels()),
                _number(short(np.float64(one.grid.scale) / np.float64(grid.scale))),
            )
            for one in (self.left, self.right)
        )
        return _rounded(relay.add(left, right), grid, self.bounds)

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
        """Looked up in a table of 256."""
        with np.errstate(invalid="ignore"):
            levels = np.clip(np.rint(self.values / np.float64(grid.scale) + grid.zero), 0, 255)
        table = np.nan_to_num(levels).astype(np.int64) - grid.offset
        shifted = relay.cast(self.source.expr, "int32")
        if offset := self.source.grid.offset:
            shifted = relay.add(shifted, _int(offset))
        return relay.take(relay.const(table.astype(grid.dtype)), shifted, mode="fast")

    def floats(self) -> Any:
        """In float32."""
        return self.floating


def quantized(value: Any, grid: Grid) -> Any:
    """A float32 expression on a grid."""
    inverse = _number(np.float32(1) / np.float32(grid.scale))
    return _rounded(relay.multiply(value, inverse), grid, Bounds())


def inputs_of(stored: Stored) -> Doubles:
    """What the numbers 0 to 255 of a map stand for."""
    return (np.arange(256, dtype=np.float64) - stored.grid.zero) * np.float64(stored.grid.scale)


def short(value: np.float64) -> np.float64:
    """The nearest number of EXACT_BITS significant bits."""
    mantissa, exponent = np.frexp(value)
    return np.float64(np.ldexp(np.rint(np.ldexp(mantissa, EXACT_BITS)), exponent - EXACT_BITS))


def _rounded(value: Any, grid: Grid, bounds: Bounds) -> Any:
    """float32 `value`, in steps of the grid from its zero point, as the nearest number within bounds.

    The bounds stand between the multiplication and the addition, so that no compiler makes one instruction,
    with one rounding less, of the two.
    """
    low, high = grid.level(bounds.low), grid.level(bounds.high)
    kept = relay.clip(value, float(low - grid.zero), float(high - grid.zero))
    shifted = relay.add(kept, _number(np.float64(ROUNDER + grid.stored_zero)))
    return relay.cast(relay.reinterpret(shifted, "int32"), grid.dtype)


def _small(by: Doubles, grid: Grid) -> bool:
    """Whether 32-bit sums times `by` can be rounded without their bounds, on this grid."""
    return bool(grid.dtype == "uint8" and grid.zero % 2 == 0 and np.max(by) < 0.99)


def _saturated(value: Any, grid: Grid, bounds: Bounds) -> Any:
    """As `_rounded`, of values that 32 bits hold and a zero point that is even, so that ties stay even: x86
    has an instruction that rounds, and one that makes 8 bits of 32 within their bounds.
    """
    level = relay.clip(
        relay.add(rounding.nearest(value), _int(grid.zero))
        if grid.zero
        else rounding.nearest(value),
        float(grid.level(bounds.low)),
        float(grid.level(bounds.high)),
    )
    return relay.cast(level, grid.dtype)


def _clipped(value: Any, bounds: Bounds) -> Any:
    if bounds == Bounds():
        return value
    if np.isinf(bounds.high):
        return relay.maximum(value, _number(bounds.low))
    return relay.clip(value, float(max(bounds.low, -3.4e38)), float(bounds.high))


def _float(expr: Any) -> Any:
    return relay.cast(expr, "float32")


def _number(value: Any) -> Any:
    return relay.const(np.asarray(value, np.float32))


def _int(value: int) -> Any:
    return relay.const(np.asarray(value, np.int32))


def _channels(scale: Doubles) -> Any:
    """For maps of (N, C, H, W)."""
    numbers = scale.astype(np.float32)
    return relay.const(numbers.reshape(1, -1, 1, 1) if numbers.ndim else numbers)


def _steps(numbers: NDArray[np.int64]) -> Any:
    """Of sums, one a channel."""
    return relay.const(numbers.astype(np.int32).reshape(1, -1, 1, 1))
