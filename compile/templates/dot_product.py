# SPDX-License-Identifier: Apache-2.0
"""Instructions that multiply four bytes by four and add the products to a 32-bit sum.

TVM's own for VNNI must never be reached: LLVM 22 changed the instruction's operands to bytes, and TVM 0.19
hands over 32-bit words, upon which LLVM ends the process.
"""

from collections.abc import Sequence
from typing import Any

from tvm import tir

from mnc.compile.templates.multiply_add import MultiplyAdd
from mnc.compile.templates.register_tile import RegisterTile


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
                after[at] = SDOT.emit(after[at], four, some)
    return after


def _as_they_are(done: Sequence[Any], pixels: int, channels: int) -> dict[tuple[int, int], Any]:
    vectors = channels // 4
    return {(p, 4 * v): done[p * vectors + v] for p in range(pixels) for v in range(vectors)}


SDOT_TILE = RegisterTile(
    4, lambda pixels, channels: pixels * channels // 4, _by_element, _as_they_are
)
