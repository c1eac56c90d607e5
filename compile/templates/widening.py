# SPDX-License-Identifier: Apache-2.0
"""ARM's widening multiplications of bytes, for CPUs without a dot product: 16-bit products, summed in pairs.

Two products fit 16 bits: of weights from -127 to 127, 128 * 127 * 2 = 32512.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from tvm import tir

from mnc.compile.templates import pair_kernel, tap_kernel
from mnc.compile.templates.depthwise_tile import At, DepthwiseTile, Shape, in_vectors
from mnc.compile.templates.multiply_add import MultiplyAdd
from mnc.compile.templates.register_tile import RegisterTile, Vectors


def low(vector: Any) -> Any:
    """The first half."""
    return _half(vector, "tir.vectorlow")


def high(vector: Any) -> Any:
    """The second half."""
    return _half(vector, "tir.vectorhigh")


def llvm(kind: str, name: str, *args: Any) -> Any:
    """A call of LLVM's intrinsic function of that name."""
    return tir.call_llvm_pure_intrin(kind, name, tir.const(len(args), "uint32"), *args)


def _half(vector: Any, which: str) -> Any:
    kind, lanes = vector.dtype.split("x")
    return tir.call_intrin(f"{kind}x{int(lanes) // 2}", which, vector)


def products(numbers: Any, weights: Any) -> Any:
    """int8 x 8 times int8 x 8, in 16 bits: smull."""
    return llvm("int16x8", "llvm.aarch64.neon.smull.v8i16", numbers, weights)


def pairs_added(sums: Any, products: Any) -> Any:
    """sums (int32 x 4) and those of the pairs of `products` (int16 x 8): sadalp."""
    return sums + llvm("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", products)


def _vmull(numbers: Any, weights: Any) -> Any:
    return llvm("int16x8", "llvm.arm.neon.vmulls.v8i16", numbers, weights)


def _aarch64(sums: Any, numbers: Any, weights: Any) -> Any:
    """smull, smull2, addp, sadalp."""
    pair = products(low(numbers), low(weights)), products(high(numbers), high(weights))
    return pairs_added(sums, llvm("int16x8", "llvm.aarch64.neon.addp.v8i16", *pair))


def _arm(sums: Any, numbers: Any, weights: Any) -> Any:
    """vmull, vmull, vpadd, vpadd, vpadal."""
    halves = [_vmull(part(numbers), part(weights)) for part in (low, high)]
    added = [llvm("int16x4", "llvm.arm.neon.vpadd.v4i16", low(half), high(half)) for half in halves]
    pairs = tir.call_intrin("int16x8", "tir.vectorcombine", *added)
    return llvm("int32x4", "llvm.arm.neon.vpadals.v4i32.v8i16", sums, pairs)


AARCH64 = MultiplyAdd(4, 4, "int8", _aarch64)
ARM = MultiplyAdd(4, 4, "int8", _arm)


def _vmull_pairs(
    before: Sequence[Any], numbers: Sequence[Any], weights: Callable[[int, int], Any]
) -> list[Any]:
    """Sixteen products: eight and eight more in 16 bits, whose pairs are added to the sum's four parts."""
    after, channels = list(before), len(before) // len(numbers)
    for channel in range(channels):
        by = weights(0, channel)
        for pixel, some in enumerate(numbers):
            both = _vmull(low(some), low(by)) + _vmull(high(some), high(by))
            at = pixel * channels + channel
            after[at] = llvm("int32x4", "llvm.arm.neon.vpadals.v4i32.v8i16", before[at], both)
    return after


def _vpadd_parts(done: Sequence[Any], pixels: int, channels: int) -> dict[tuple[int, int], Any]:
    return {
        (p, v): _vpadd4(*done[p * channels + v : p * channels + v + 4])
        for p in range(pixels)
        for v in range(0, channels, 4)
    }


def _vpadd4(*vectors: Any) -> Any:
    halves = [_vpadd(low(one), high(one)) for one in vectors]
    return tir.call_intrin("int32x4", "tir.vectorcombine", _vpadd(*halves[:2]), _vpadd(*halves[2:]))


def _vpadd(first: Any, second: Any) -> Any:
    return llvm("int32x2", "llvm.arm.neon.vpadd.v2i32", first, second)


AARCH64_TILE = RegisterTile(16, pair_kernel.vectors, pair_kernel.body, halves=True, prefetches=True)
ARM_TILE = Vectors(16, lambda pixels, channels: pixels * channels, _vmull_pairs, _vpadd_parts).tile(
    halves=True
)


def _tap_pairs(mull: Any) -> Any:
    """Products of two taps in 16 bits, added to the four sums of four channels each: smull, smlal, saddw."""

    def family(shape: Shape, numbers: At, weights: At) -> dict[tuple[int, int, int], Any]:
        taps = list(itertools.product(range(shape.taps[0]), range(shape.taps[1])))
        made: dict[tuple[int, int, int], Any] = {}
        for y, x in itertools.product(range(shape.rows), range(shape.columns)):
            sums: list[Any] = [None] * 4
            for at in range(0, len(taps), 2):
                pair = [
                    (numbers(shape.row(y, down), shape.column(x, across)), weights(down, across))
                    for down, across in taps[at : at + 2]
                ]
                for half, part in enumerate((low, high)):
                    products = [mull(part(number), part(weight)) for number, weight in pair]
                    both = products[0] + products[1] if len(products) == 2 else products[0]
                    for quarter, some in enumerate((low, high)):
                        wide, place = tir.Cast("int32x4", some(both)), 2 * half + quarter
                        before = sums[place]
                        sums[place] = wide if before is None else before + wide
            made |= {(y, x, 4 * quarter): one for quarter, one in enumerate(sums)}
        return made

    return family


def _aarch64_depthwise(shape: Shape, ins: Any, out: Any) -> Any:
    body = tap_kernel.body if tap_kernel.fits(shape) else in_vectors(_tap_pairs(products))
    return body(shape, ins, out)


AARCH64_DEPTHWISE = DepthwiseTile(_aarch64_depthwise, pixels=2)
ARM_DEPTHWISE = DepthwiseTile(in_vectors(_tap_pairs(_vmull)), pixels=4)
