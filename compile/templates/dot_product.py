# SPDX-License-Identifier: Apache-2.0
"""Instructions that multiply four bytes by four and add the products to a 32-bit sum.

TVM's own for VNNI must never be reached: LLVM 22 changed the instruction's operands to bytes, and TVM 0.19
hands over 32-bit words, upon which LLVM ends the process.
"""

from typing import Any

from tvm import tir

from mnc.compile.templates.multiply_add import MultiplyAdd


def _instruction(name: str, lanes: int, data: str) -> MultiplyAdd:
    def emit(sums: Any, numbers: Any, weights: Any) -> Any:
        kind = f"int32x{lanes}"
        return tir.call_llvm_pure_intrin(kind, name, tir.const(3, "uint32"), sums, numbers, weights)

    return MultiplyAdd(lanes, 4, data, emit)


VNNI_512 = _instruction("llvm.x86.avx512.vpdpbusd.512", 16, "uint8")
VNNI_256 = _instruction("llvm.x86.avx512.vpdpbusd.256", 8, "uint8")
SDOT = _instruction("llvm.aarch64.neon.sdot.v4i32.v16i8", 4, "int8")
