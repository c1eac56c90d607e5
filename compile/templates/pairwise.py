# SPDX-License-Identifier: Apache-2.0
"""x86's multiply-add of 16-bit pairs, for CPUs without a dot product of bytes: exact, as bytes become words.

vpmaddubsw would take bytes, and saturate at sums of two full-range products.
"""

from typing import Any

from tvm import tir

from mnc.compile.templates.multiply_add import MultiplyAdd


def _instruction(name: str, lanes: int) -> MultiplyAdd:
    def emit(sums: Any, numbers: Any, weights: Any) -> Any:
        wide = f"int16x{2 * lanes}"
        pairs = (tir.Cast(wide, numbers), tir.Cast(wide, weights))
        kind = f"int32x{lanes}"
        return _fenced(sums + tir.call_llvm_pure_intrin(kind, name, tir.const(2, "uint32"), *pairs))

    return MultiplyAdd(lanes, 2, "uint8", emit, wide="int16")


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


AVX512 = _instruction("llvm.x86.avx512.pmaddw.d.512", 16)
AVX2 = _instruction("llvm.x86.avx2.pmadd.wd", 8)
