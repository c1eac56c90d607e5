# SPDX-License-Identifier: Apache-2.0
"""Instructions that multiply four bytes by four and add the products to a 32-bit sum.

TVM's own for VNNI must never be reached: LLVM 22 changed the instruction's operands to bytes, and TVM 0.19
hands over 32-bit words, upon which LLVM ends the process.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from tvm import tir

from mnc.compile.templates import dot_kernel
from mnc.compile.templates.depthwise_tile import At, DepthwiseTile, Shape, in_vectors
from mnc.compile.templates.multiply_add import MultiplyAdd
from mnc.compile.templates.register_tile import Vectors


def _instruction(name: str, lanes: int, data: str) -> MultiplyAdd:
    def emit(sums: Any, numbers: Any, weights: Any) -> Any:
        kind = f"int32x{lanes}"
        return tir.call_llvm_pure_intrin(kind, name, tir.const(3, "uint32"), sums, numbers, weights)

    return MultiplyAdd(lanes, 4, data, emit)


VNNI_512 = _instruction("llvm.x86.avx512.vpdpbusd.512", 16, "uint8")
VNNI_256 = _instruction("llvm.x86.avx512.vpdpbusd.256", 8, "uint8")
SDOT = _instruction("llvm.aarch64.neon.sdot.v4i32.v16i8", 4, "int8")


def _by_element(before: Sequence[Any], numbers: Sequence[Any], weights: Any) -> list[Any]:
    """Each four of a pixel's bytes by vectors of four channels' weights: sdot by element."""
    after, channels = list(before), len(before) // len(numbers)
    for part in range(4):
        for vector in range(channels):
            some = weights(4 * part, 4 * vector)
            for pixel, bytes_ in enumerate(numbers):
                words = tir.call_intrin("int32x4", "tir.reinterpret", bytes_)
                four = tir.call_intrin(
                    "int8x16", "tir.reinterpret", tir.Shuffle([words], [part] * 4)
                )
                at = pixel * channels + vector
                after[at] = SDOT.emit(after[at], some, four)
    return after


def _as_they_are(done: Sequence[Any], pixels: int, channels: int) -> dict[tuple[int, int], Any]:
    vectors = channels // 4
    return {(p, 4 * v): done[p * vectors + v] for p in range(pixels) for v in range(vectors)}


SDOT_TILE = Vectors(
    4, lambda pixels, channels: pixels * channels // 4, _by_element, _as_they_are
).tile()

MATRIX = "llvm.aarch64.neon.smmla.v4i32.v16i8"


def _by_pairs(before: Sequence[Any], numbers: Sequence[Any], weights: Any) -> list[Any]:
    """Eight bytes of two pixels by as many of two output channels, four sums at once: smmla. A last pixel
    alone is taken twice.
    """
    after = list(before)
    pairs = [(numbers[i], numbers[min(i + 1, len(numbers) - 1)]) for i in range(0, len(numbers), 2)]
    channels = 2 * len(before) // len(pairs)
    for half in range(2):
        both = [_joined(*pair, half) for pair in pairs]
        for channel in range(0, channels, 2):
            by = weights(8 * half, channel)
            for pair, bytes_ in enumerate(both):
                at = (pair * channels + channel) // 2
                operands = tir.const(3, "uint32"), after[at], bytes_, by
                after[at] = tir.call_llvm_pure_intrin("int32x4", MATRIX, *operands)
    return after


def _apart(done: Sequence[Any], pixels: int, channels: int) -> dict[tuple[int, int], Any]:
    """Four channels of a pixel are halves of two vectors."""
    made = {}
    for pixel, v in itertools.product(range(pixels), range(0, channels, 4)):
        first = (pixel // 2 * channels + v) // 2
        made[pixel, v] = _joined(done[first], done[first + 1], pixel % 2)
    return made


def _joined(first: Any, second: Any, half: int) -> Any:
    """Those halves of two vectors: zip1 or zip2 of 64 bits."""
    both = [tir.call_intrin("int64x2", "tir.reinterpret", one) for one in (first, second)]
    return tir.call_intrin(first.dtype, "tir.reinterpret", tir.Shuffle(both, [half, 2 + half]))


SMMLA_TILE = Vectors(
    8, lambda pixels, channels: (pixels + 1) // 2 * channels // 2, _by_pairs, _apart
).tile()


def rows_of_taps(shape: Shape, numbers: At, weights: At) -> dict[tuple[int, int, int], Any]:
    """Four rows of a column side by side, channel by channel (zip1, zip2), are the products of a sum; weights
    are zero where an output pixel has no tap in a row.
    """
    rows, columns = shape.source
    made: dict[tuple[int, int, int], Any] = {}
    for first in range(0, rows, 4):
        fours = [
            _zipped([numbers(min(first + i, rows - 1), column) for i in range(4)])
            for column in range(columns)
        ]
        for y in range(shape.rows):
            down = {shape.row(y, tap) - first: tap for tap in range(shape.taps[0])}
            if not any(0 <= row < 4 for row in down):
                continue
            for across in range(shape.taps[1]):
                zero = tir.const(0, "int8x16")
                column_of = [weights(down[i], across) if i in down else zero for i in range(4)]
                for quarter, by in enumerate(_zipped(column_of)):
                    for x in range(shape.columns):
                        at = (y, x, 4 * quarter)
                        before = made.get(at, tir.const(0, "int32x4"))
                        four = fours[shape.column(x, across)][quarter]
                        made[at] = SDOT.emit(before, four, by)
    return made


def _depthwise(shape: Shape, ins: Any, out: Any) -> Any:
    return (dot_kernel.body if dot_kernel.fits(shape) else in_vectors(rows_of_taps))(
        shape, ins, out
    )


SDOT_DEPTHWISE = DepthwiseTile(_depthwise, pixels=4, slides=dot_kernel.fits)


def _zipped(rows: Sequence[Any]) -> list[Any]:
    """Four vectors of 16 bytes as four of four bytes a channel."""
    first, second, third, fourth = rows
    upper, lower = _interleaved(first, second, "int8x16"), _interleaved(third, fourth, "int8x16")
    fours = (_interleaved(*both, "int16x8") for both in zip(upper, lower, strict=True))
    return [tir.call_intrin("int8x16", "tir.reinterpret", one) for two in fours for one in two]


def _interleaved(first: Any, second: Any, kind: str) -> list[Any]:
    """Both halves of first and second in turns."""
    lanes = int(kind.split("x")[1])
    both = [tir.call_intrin(kind, "tir.reinterpret", one) for one in (first, second)]
    order = [lane // 2 + lanes * (lane % 2) for lane in range(2 * lanes)]
    return [tir.Shuffle(both, order[:lanes]), tir.Shuffle(both, order[lanes:])]
