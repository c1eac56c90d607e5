# SPDX-License-Identifier: Apache-2.0
"""Small real kernels for AArch64: every template of ours and the stock ones that tuning chooses among.

Gives workloads, and a configuration of one, or a few lines of C, compiled to a `Kernel`.
"""

import random
import subprocess
from pathlib import Path
from typing import Any

import tvm
from tvm import autotvm, te

import mnc.compile.templates  # noqa: F401 - AutoTVM learns of them
from mnc.compile.simulator.simulate import Kernel
from mnc.compile.templates import depthwise, direct, pointwise
from mnc.compile.toolchain import pass_context
from mnc.compile.toolchain.zig import zig
from mnc.targets import Target

Workload = tuple[str, tuple[Any, ...]]
ONE_BUFFER = (((64,), "float32", True),)
SIGNATURE = "int kernel(void **args, int *codes, int n, void *ret, int *code, void *resource)"


def _tensor(*shape: int) -> tuple[str, tuple[int, ...], str]:
    return ("TENSOR", shape, "float32")


def _blocked(name: str, data: Any, weights: Any, stride: int, padding: int) -> Workload:
    inside, outside = f"NCHW{data[1][4]}c", f"NCHW{weights[1][5]}c"
    geometry = ((stride, stride), (padding,) * 4, (1, 1))
    return name, (data, weights, *geometry, inside, outside, "float32")


def _stock(name: str, data: Any, weights: Any, stride: int, padding: int) -> Workload:
    layouts = ("NCHW", "NCHW") if name.endswith("NCHWc.x86") else ()
    return name, (data, weights, (stride,) * 2, (padding,) * 4, (1, 1), *layouts, "float32")


def workloads(size: int = 7) -> dict[str, Workload]:
    """By a short name; `size` pixels a side."""
    row, even = _tensor(1, 8, size, size), size + size % 2
    return {
        "pointwise": _blocked(
            pointwise.NAME, _tensor(1, 4, size, size, 4), _tensor(4, 4, 1, 1, 4, 4), 1, 0
        ),
        "depthwise": _blocked(
            depthwise.NAME, _tensor(1, 4, size, size, 4), _tensor(4, 1, 3, 3, 1, 4), 1, 1
        ),
        "depthwise_2": _blocked(
            depthwise.NAME, _tensor(1, 2, even, even, 4), _tensor(2, 1, 3, 3, 1, 4), 2, 1
        ),
        "direct": _blocked(
            direct.NAME, _tensor(1, 1, 2 * size, 2 * size, 3), _tensor(2, 1, 3, 3, 3, 4), 2, 1
        ),
        "stock": _stock("conv2d_nchw_spatial_pack.arm_cpu", row, _tensor(16, 8, 1, 1), 1, 0),
        "stock_3x3": _stock("conv2d_nchw_spatial_pack.arm_cpu", row, _tensor(8, 8, 3, 3), 2, 1),
        "stock_nchwc": _stock("conv2d_NCHWc.x86", row, _tensor(16, 8, 1, 1), 1, 0),
        "stock_nhwc": _stock(
            "conv2d_nhwc_spatial_pack.arm_cpu",
            _tensor(1, size, size, 8),
            _tensor(1, 1, 8, 16),
            1,
            0,
        ),
        "stock_depthwise": _stock("depthwise_conv2d_nchw.arm_cpu", row, _tensor(8, 1, 3, 3), 1, 1),
        "stock_depthwise_nchwc": _stock(
            "depthwise_conv2d_NCHWc.x86", row, _tensor(8, 1, 3, 3), 1, 1
        ),
        "stock_depthwise_nhwc": _stock(
            "depthwise_conv2d_nhwc.arm_cpu", _tensor(1, even, even, 8), _tensor(3, 3, 8, 1), 2, 1
        ),
    }


def pointwise_of(channels: int, size: int) -> Workload:
    """As many channels out as in."""
    blocks = channels // 4
    weights = _tensor(blocks, blocks, 1, 1, 4, 4)
    return _blocked(pointwise.NAME, _tensor(1, blocks, size, size, 4), weights, 1, 0)


def build(workload: Workload, target: Target, seed: int, folder: Path) -> Kernel:
    """A random configuration that compiles, chosen by `seed`."""
    name, args = workload
    here = tvm.target.Target(target.tvm_target())
    chance = random.Random(seed)
    autotvm.GLOBAL_SCOPE.in_tuning, before = True, autotvm.GLOBAL_SCOPE.in_tuning
    try:
        task = autotvm.task.create(name, args, here)
        space = task.config_space
        valid = [i for i in range(min(space.range_length, 4000)) if space.is_index_valid(i)]
        for index in chance.sample(valid, len(valid)):
            config = space.get(index)
            with here:
                schedule, tensors = task.instantiate(config)
            if config.valid():
                return compiled_schedule(schedule, tensors, here, folder)
        raise AssertionError("no configuration is valid")
    finally:
        autotvm.GLOBAL_SCOPE.in_tuning = before


def compiled_schedule(schedule: Any, tensors: Any, target: Any, folder: Path) -> Kernel:
    """The kernel of a schedule and its tensors, inputs first."""
    with pass_context.pass_context():
        module = tvm.build(schedule, tensors, target=target)
    path = folder / "kernel.o"
    module.save(str(path))
    arguments = tuple(
        (
            tuple(int(size) for size in one.shape),
            str(one.dtype),
            not isinstance(one.op, te.PlaceholderOp),
        )
        for one in tensors
    )
    return Kernel(path.read_bytes(), arguments)


def compiled(folder: Path, body: str) -> Kernel:
    """A kernel in C, compiled for AArch64."""
    source, target = folder / "kernel.c", folder / "kernel.o"
    source.write_text(f"#include <arm_neon.h>\n{SIGNATURE} {{ {body} }}\n")
    compiler = [*zig("cc"), "-target", "aarch64-linux-gnu"]
    flags = ["-O1", "-fno-sanitize=all", "-g0", "-c"]
    subprocess.run([*compiler, *flags, str(source), "-o", str(target)], check=True)
    return Kernel(target.read_bytes(), ONE_BUFFER)
