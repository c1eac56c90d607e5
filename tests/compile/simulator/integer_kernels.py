# SPDX-License-Identifier: Apache-2.0
"""A pointwise convolution of bytes for AArch64, register-tiled by hand around one intrinsic of LLVM.

Gives a `Kernel`: data [pixels][channels], weights [outputs / 4][channels / 16][...], 32-bit sums out.
"""

from pathlib import Path
from typing import Any

import tvm
from tvm import te

from mnc.compile.simulator.simulate import Kernel
from mnc.targets import Target
from tests.compile.simulator.aarch64_kernels import compiled_schedule

VECTOR, STEP = 4, 16  # outputs in a register, channels of one call of the intrinsic


def sdot_pointwise(
    target: Target, folder: Path, *, channels: int, pixels: int, tile: tuple[int, int]
) -> Kernel:
    """As many channels out as in; `tile`: registers of outputs, and pixels, summed at once."""
    steps = channels // STEP
    data = te.placeholder((pixels, channels), "int8", "data")
    weights = te.placeholder((channels // VECTOR, steps, VECTOR, STEP), "int8", "weights")
    k = te.reduce_axis((0, channels), "k")
    out = te.compute(
        (channels // VECTOR, pixels, VECTOR),
        lambda o, p, v: te.sum(
            data[p, k].astype("int32") * weights[o, k // STEP, v, k % STEP].astype("int32"), k
        ),
        "out",
    )
    schedule = te.create_schedule(out.op)
    sums = schedule.cache_write(out, "local")
    o, p, v = schedule[out].op.axis
    o_outer, o_inner = schedule[out].split(o, tile[0])
    p_outer, p_inner = schedule[out].split(p, tile[1])
    schedule[out].reorder(o_outer, p_outer, o_inner, p_inner, v)
    schedule[out].vectorize(v)
    schedule[sums].compute_at(schedule[out], p_outer)
    o, p, v = schedule[sums].op.axis
    k_outer, k_inner = schedule[sums].split(k, STEP)
    schedule[sums].reorder(k_outer, o, p, v, k_inner)
    schedule[sums].unroll(o)
    schedule[sums].unroll(p)
    schedule[sums].tensorize(v, _four_dots())
    here = tvm.target.Target(target.tvm_target())
    return compiled_schedule(schedule, [data, weights, out], here, folder)


def _four_dots() -> Any:
    """Four outputs of 16 channels: four dot products of 4 bytes a lane."""
    data = te.placeholder((STEP,), "int8")
    weights = te.placeholder((VECTOR, STEP), "int8")
    k = te.reduce_axis((0, STEP))
    out = te.compute(
        (VECTOR,),
        lambda v: te.sum(data[k].astype("int32") * weights[v, k].astype("int32"), k),
    )

    def emit(inputs: Any, outputs: Any) -> Any:
        lanes = inputs[0].vload([0], "int8x16")
        words = tvm.tir.call_intrin("int32x4", "tir.reinterpret", lanes)

        def body(before: Any) -> Any:
            total = before
            for at in range(VECTOR):
                four = tvm.tir.Shuffle([words], [at] * VECTOR)
                bytes_ = tvm.tir.call_intrin("int8x16", "tir.reinterpret", four)
                row = inputs[1].vload([at, 0], "int8x16")
                total = tvm.tir.call_llvm_pure_intrin(
                    "int32x4",
                    "llvm.aarch64.neon.sdot.v4i32.v16i8",
                    tvm.tir.const(3, "uint32"),
                    total,
                    row,
                    bytes_,
                )
            return outputs[0].vstore([0], total)

        zeros = tvm.tir.const(0, "int32x4")
        return body(zeros), outputs[0].vstore([0], zeros), body(outputs[0].vload([0], "int32x4"))

    def buffer(tensor: Any, scope: str = "global") -> Any:
        strides = [te.var(f"s{axis}") for axis in range(len(tensor.shape) - 1)] + [1]
        return tvm.tir.decl_buffer(
            tensor.shape, tensor.dtype, offset_factor=1, strides=strides, scope=scope
        )

    binds = {data: buffer(data), weights: buffer(weights), out: buffer(out, "local")}
    return te.decl_tensor_intrin(out.op, emit, binds=binds)
