# SPDX-License-Identifier: Apache-2.0
"""The CPU's instruction that multiplies four bytes by four and adds the products to a 32-bit sum.

Takes the channels of a block and the data's type; gives a TE tensor intrinsic for a step of a reduction: four
bytes of a pixel, the same for all output channels, times a block's 4-byte weights, added to its sums.
TVM's own for VNNI must never be reached: LLVM 22 changed the instruction's operands to bytes, and TVM 0.19
hands over 32-bit words, upon which LLVM ends the process.
"""

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import te, tir

from mnc.compile.templates import blocked

FOUR = 4


@dataclass(frozen=True)
class Instruction:
    """`lanes` sums by one instruction, LLVM's `name` of it; `data` is the type of bytes it takes."""

    name: str
    lanes: int
    data: str


VNNI_512 = Instruction("llvm.x86.avx512.vpdpbusd.512", 16, "uint8")
VNNI_256 = Instruction("llvm.x86.avx512.vpdpbusd.256", 8, "uint8")
SDOT = Instruction("llvm.aarch64.neon.sdot.v4i32.v16i8", 4, "int8")


def available() -> Instruction | None:
    """The widest of the current target, or None."""
    target = tvm.target.Target.current()
    has_feature = tvm.get_global_func("target.llvm_cpu_has_feature")
    if "arm_cpu" in target.keys:
        return SDOT if blocked.vector_registers() == 32 and has_feature("dotprod", target) else None
    if has_feature("avx512vnni", target):
        return VNNI_512
    return VNNI_256 if has_feature("avxvnni", target) else None


def stored() -> str:
    """The type in which the current target keeps 8-bit maps: what its instruction multiplies by int8."""
    return "int8" if blocked.on_arm() else "uint8"


def registers_a_block(block: int = 16) -> int:
    """Vector registers that the 32-bit sums of a block of channels take."""
    found = available()
    lanes = found.lanes if found else 16 if blocked.vector_registers() == 32 else 8
    if blocked.on_arm():
        lanes = 4
    return max(1, block // lanes)


def intrinsic(block: int, data: str) -> Any:
    """The step as a tensor intrinsic; None where the CPU has none for this type of data."""
    found = available()
    if found is None or found.data != data or block % found.lanes:
        return None
    pixels = te.placeholder((FOUR,), dtype=data, name="bytes")
    weights = te.placeholder((block, FOUR), dtype="int8", name="weights")
    byte = te.reduce_axis((0, FOUR), name="byte")
    sums = te.compute(
        (block,),
        lambda v: te.sum(
            pixels[byte].astype("int32") * weights[v, byte].astype("int32"), axis=byte
        ),
    )
    buffers = {
        tensor: tir.decl_buffer(
            tensor.shape, tensor.dtype, offset_factor=1, strides=strides, **scope
        )
        for tensor, strides, scope in (
            (pixels, [te.var("apart")], {}),
            (weights, [te.var("row"), 1], {}),
            (sums, [1], {"scope": "local"}),
        )
    }

    def emit(ins: Any, outs: Any) -> tuple[Any, Any, Any]:
        zero = _stores(outs[0], block, found.lanes, lambda _: tir.const(0, f"int32x{found.lanes}"))
        return _update(ins, outs, block, found, first=True), zero, _update(ins, outs, block, found)

    return te.decl_tensor_intrin(sums.op, emit, binds=buffers)


def _update(ins: Any, outs: Any, block: int, found: Instruction, *, first: bool = False) -> Any:
    kind, wide = f"int32x{found.lanes}", FOUR * found.lanes
    four = tir.call_intrin("int32", "tir.reinterpret", ins[0].vload([0], f"{found.data}x{FOUR}"))
    spread = tir.call_intrin(
        f"{found.data}x{wide}", "tir.reinterpret", tir.Broadcast(four, found.lanes)
    )

    def step(at: int) -> Any:
        before = tir.const(0, kind) if first else outs[0].vload([at], kind)
        weights = ins[1].vload([at, 0], f"int8x{wide}")
        return tir.call_llvm_pure_intrin(
            kind, found.name, tir.const(3, "uint32"), before, spread, weights
        )

    return _stores(outs[0], block, found.lanes, step)


def _stores(out: Any, block: int, lanes: int, value: Any) -> Any:
    builder = tir.ir_builder.create()
    for at in range(0, block, lanes):
        builder.emit(out.vstore([at], value(at)))
    return builder.get()
