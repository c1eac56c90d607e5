# SPDX-License-Identifier: Apache-2.0
"""x86's multiply-adds of pairs, for CPUs without a dot product of bytes.

vpmaddwd takes words, which bytes have to be made first, and is exact for all of them. vpmaddubsw takes
bytes and gives sums of two products in 16 bits, which saturate: exact where no pair of weights has a sum
above 128.
"""

from typing import Any

from tvm import tir

from mnc.compile.templates.multiply_add import MultiplyAdd

LARGEST_PAIR = 128  # either way: times 255 it fits 16 bits


def _instruction(name: str, lanes: int) -> MultiplyAdd:
    def emit(sums: Any, numbers: Any, weights: Any) -> Any:
        wide = f"int16x{2 * lanes}"
        pairs = (tir.Cast(wide, numbers), tir.Cast(wide, weights))
        kind = f"int32x{lanes}"
        return _fenced(sums + tir.call_llvm_pure_intrin(kind, name, tir.const(2, "uint32"), *pairs))

    return MultiplyAdd(lanes, 2, "uint8", emit, wide="int16")


def _of_bytes(by_pairs: str, of_pairs: str, lanes: int) -> MultiplyAdd:
    words, sums_of = f"int16x{2 * lanes}", f"int32x{lanes}"

    def emit(sums: Any, numbers: Any, weights: Any) -> Any:
        two, ones = tir.const(2, "uint32"), tir.const(1, words)
        pairs = tir.call_llvm_pure_intrin(words, by_pairs, two, numbers, weights)
        fours = tir.call_llvm_pure_intrin(sums_of, of_pairs, two, pairs, ones)
        return _fenced(sums + fours)

    return MultiplyAdd(lanes, 4, "uint8", emit, largest_pair=LARGEST_PAIR)


def _fenced(value: Any) -> Any:
    """`value`, whose sums are not reordered: LLVM would add up the products of several steps first, for
    which there are no registers. It has such a fence for floats, and it is no instruction.
    """
    floats = str(value.dtype).replace("int", "float")
    as_floats = tir.call_intrin(floats, "tir.reinterpret", value)
    kept = tir.call_llvm_pure_intrin(
        floats, "llvm.arithmetic.fence", tir.const(1, "uint32"), as_floats
    )
    return tir.call_intrin(value.dtype, "tir.reinterpret", kept)


WORDS_512, WORDS_256 = "llvm.x86.avx512.pmaddw.d.512", "llvm.x86.avx2.pmadd.wd"
AVX512 = _instruction(WORDS_512, 16)
AVX2 = _instruction(WORDS_256, 8)
AVX512_BYTES = _of_bytes("llvm.x86.avx512.pmaddubs.w.512", WORDS_512, 16)
AVX2_BYTES = _of_bytes("llvm.x86.avx2.pmadd.ub.sw", WORDS_256, 8)
