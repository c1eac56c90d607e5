# SPDX-License-Identifier: Apache-2.0
"""A template whose configurations fail in every way a candidate can, for the tests of measuring.

Its knob `fault` chooses how. It computes a 1x1 convolution in our blocked layout.
"""

import os
import signal
import time
from typing import Any

from tvm import autotvm, te, tir, topi

NAME = "faulty_NCHWc.test"
FAULTS = (
    "none",
    "wrong",
    "unwritten",
    "segfault",
    "illegal",
    "hang",
    "refused",
    "compiler dies",
    "compiler hangs",
)
MODULE = "tests.compile.faulty_template"
HANG_SECONDS = 3600


@autotvm.template(NAME)  # type: ignore[untyped-decorator]
def faulty(data: Any, kernel: Any, *_: Any) -> Any:
    """data (1, I, H, W, i), kernel (O, I, 1, 1, i, o)."""
    cfg = autotvm.get_config()
    cfg.define_knob("fault", list(FAULTS))
    fault = cfg["fault"].val
    _fail_to_compile(fault)
    batch, chunks, height, width, block = topi.utils.get_const_tuple(data.shape)
    out_chunks, _, _, _, _, out_block = topi.utils.get_const_tuple(kernel.shape)
    channel = te.reduce_axis((0, chunks * block), name="channel")
    plain = te.compute(
        (batch, out_chunks, height, width, out_block),
        lambda n, o, y, x, v: te.sum(
            data[n, channel // block, y, x, channel % block]
            * kernel[o, channel // block, 0, 0, channel % block, v],
            axis=channel,
        ),
        name="plain",
    )
    out = te.compute(plain.shape, lambda *i: plain(*i) * _factor(fault, i), name="out")
    cfg.add_flop(2 * out_chunks * out_block * chunks * block * height * width)
    return te.create_schedule(out.op), [data, kernel, out]


def _fail_to_compile(fault: str) -> None:
    if fault == "refused":
        raise ValueError("this template refuses")
    if fault == "compiler dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "compiler hangs":
        time.sleep(HANG_SECONDS)


def _factor(fault: str, place: Any) -> Any:
    """1, or what spoils the kernel: another number, NaN, or a call of libc that ends or halts it."""
    one = tir.const(1.0, "float32")
    if fault == "wrong":
        first = tir.all(*[axis == 0 for axis in place])
        return tir.if_then_else(first, tir.const(1.5, "float32"), one)
    if fault == "unwritten":
        return tir.const(float("nan"), "float32")
    calls = {
        "segfault": ("raise", int(signal.SIGSEGV)),
        "illegal": ("raise", int(signal.SIGILL)),
        "hang": ("sleep", HANG_SECONDS),
    }
    if fault not in calls:
        return one
    name, number = calls[fault]
    return one + tir.call_extern("int32", name, number).astype("float32")
