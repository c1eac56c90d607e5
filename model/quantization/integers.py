# SPDX-License-Identifier: Apache-2.0
"""What integer operators compute, to the bit: the rules of docs/int8.md, one a class.

Each class is a value that is not in 8 bits yet. `store` puts it on a grid; `real` is it in float32, for an
operator in float32. Scales are float32; multipliers are worked out in float64 and rounded once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mnc.model.quantization.operators import LARGEST_BIAS, LEAST, MOST, quantize

EXACT = 1 << 24  # integers up to this are exact in float32, in any order of summing


@dataclass(frozen=True)
class Stored:
    """A map in 8 bits: `q` in 0..255, held in float32, stands for (q - zero_point) * scale."""

    q: Tensor
    scale: float
    zero_point: int

    @property
    def steps(self) -> Tensor:
        """q - zero_point."""
        return self.q - self.zero_point

    def real(self) -> Tensor:
        """In float32."""
        return self.steps * _float32(self.scale)

    def store(self, scale: float, zero_point: int) -> "Stored":
        """On another grid: one multiplication."""
        return on_grid(self.steps * _float32(self.scale / scale), scale, zero_point)

    def summand(self, scale: float) -> Tensor:
        """What it adds to a sum in steps of `scale`. A factor of 15 bits makes the product exact: fused
        multiply-add changes nothing.
        """
        return self.steps * _float32(fifteen_bits(self.scale / scale))


class Pending(Protocol):
    """A result that is not in 8 bits yet."""

    def real(self) -> Tensor:
        """In float32."""

    def store(self, scale: float, zero_point: int) -> Stored:
        """In 8 bits."""


@dataclass(frozen=True)
class Clamped:
    """A result cut to `least` and `most`: in 8 bits after rounding."""

    inner: Pending
    least: float
    most: float

    def real(self) -> Tensor:
        """In float32."""
        return self.inner.real().clamp(self.least, self.most)

    def store(self, scale: float, zero_point: int) -> Stored:
        """The bounds are rounded to the grid as well."""
        low, high = (_bound(one, scale, zero_point) for one in (self.least, self.most))
        stored = self.inner.store(scale, zero_point)
        return replace(stored, q=stored.q.clamp(low, high))


@dataclass(frozen=True)
class Sums:
    """A convolution's or dense layer's: int32 `sums` with the bias in them, held in float64; `scale` (O,) is
    what one of them is worth, in float64.
    """

    sums: Tensor
    scale: Tensor

    def real(self) -> Tensor:
        """One multiplication."""
        return self.sums.float() * self._each(self.scale)

    def store(self, scale: float, zero_point: int) -> Stored:
        """One multiplication, one rounding."""
        return on_grid(self.summand(scale), scale, zero_point)

    def summand(self, scale: float) -> Tensor:
        """In steps of `scale`: one multiplication."""
        return self.sums.float() * self._each(self.scale / scale)

    def _each(self, factors: Tensor) -> Tensor:
        return factors.float().reshape(1, -1, *[1] * (self.sums.dim() - 2))


@dataclass(frozen=True)
class Sum:
    """Of two maps, or of a convolution that is not stored and a map."""

    left: Stored | Sums
    right: Stored | Sums

    def real(self) -> Tensor:
        """The sum of both in float32."""
        return self.left.real() + self.right.real()

    def store(self, scale: float, zero_point: int) -> Stored:
        """One rounded sum, then one rounding to the grid."""
        return on_grid(self.left.summand(scale) + self.right.summand(scale), scale, zero_point)


@dataclass(frozen=True)
class Product:
    """Of two maps, one perhaps with one value a channel."""

    left: Stored
    right: Stored

    def real(self) -> Tensor:
        """The product of both in float32."""
        return self.left.real() * self.right.real()

    def store(self, scale: float, zero_point: int) -> Stored:
        """One multiplication of the integers' product."""
        factor = _float32(self.left.scale * self.right.scale / scale)
        return on_grid(self.left.steps * self.right.steps * factor, scale, zero_point)


@dataclass(frozen=True)
class Mean:
    """Of `count` values each: `sums` of their steps, held in float64."""

    sums: Tensor
    scale: float
    count: int

    def real(self) -> Tensor:
        """One multiplication."""
        return self.sums.float() * _float32(self.scale / self.count)

    def store(self, scale: float, zero_point: int) -> Stored:
        """One multiplication."""
        factor = _float32(self.scale / (self.count * scale))
        return on_grid(self.sums.float() * factor, scale, zero_point)


@dataclass(frozen=True)
class Function:
    """Of one map: what float operators make of each of its 256 values, `exact` in float64 and `plain` as
    those operators give it of the map in float32.
    """

    of: Stored
    exact: Tensor
    plain: Callable[[], Tensor]

    def real(self) -> Tensor:
        """In float32."""
        return self.plain()

    def store(self, scale: float, zero_point: int) -> Stored:
        """By a table."""
        table = (self.exact / scale + zero_point).round().clamp(LEAST, MOST).float()
        return Stored(table[self.of.q.long()], scale, zero_point)


@dataclass(frozen=True)
class Concatenation:
    """Of several maps, each put on the grid by itself; `join` puts tensors together."""

    parts: tuple[Stored, ...]
    join: Callable[[list[Tensor]], Tensor]

    def real(self) -> Tensor:
        """In float32."""
        return self.join([one.real() for one in self.parts])

    def store(self, scale: float, zero_point: int) -> Stored:
        """Part by part."""
        return Stored(
            self.join([one.store(scale, zero_point).q for one in self.parts]), scale, zero_point
        )


def stored(x: Tensor, scale: float, zero_point: int) -> Stored:
    """A float32 map in 8 bits."""
    scale = float(np.float32(scale))
    return Stored(quantize(x, scale, zero_point).float(), scale, zero_point)


def on_grid(y: Tensor, scale: float, zero_point: int) -> Stored:
    """float32 in steps of the grid, rounded half to even with the zero point added."""
    q = y.double().add_(zero_point).round_().clamp_(LEAST, MOST)
    return Stored(q.float(), scale, zero_point)


def identity(of: Stored) -> Function:
    """The 256 values of a map, as a function to go on from."""
    steps = torch.arange(256, dtype=torch.float64) - of.zero_point
    return Function(of, steps * of.scale, of.real)


def layer(
    x: Stored, weights: Tensor, scale: Tensor, bias: Tensor | None, run: Callable[..., Any]
) -> Sums:
    """The sums of a convolution or dense layer that `run` computes of an input and weights."""
    largest = max(x.zero_point, MOST - x.zero_point)
    bound = int(weights.abs().double().flatten(1).sum(1).max()) * largest
    precise = torch.float32 if bound < EXACT else torch.float64
    sums = run(x.steps.to(precise), weights.to(precise)).double()
    worth = scale.double() * x.scale
    if bias is not None:
        units = (bias.double() / worth).round().clamp(-LARGEST_BIAS, LARGEST_BIAS)
        sums += units.reshape(1, -1, *[1] * (sums.dim() - 2))
    return Sums(sums, worth)


def fifteen_bits(factor: float) -> float:
    """Rounded to 15 significant bits."""
    part, power = math.frexp(factor)
    return math.ldexp(round(math.ldexp(part, 15)), power - 15)


def _bound(value: float, scale: float, zero_point: int) -> float:
    if math.isinf(value):
        return LEAST if value < 0 else MOST
    return min(max(round(value / scale) + zero_point, LEAST), MOST)


def _float32(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64).float()
