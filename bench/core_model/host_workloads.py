# SPDX-License-Identifier: Apache-2.0
"""Workloads to try the model on this machine with: convolutions of MobileNets in the target's blocked layout.

Takes text such as "pointwise 64->128 56", "depthwise 256 28/2" or "fused 64->128 56/2" (a pointwise
convolution and the depthwise one on it, of stride 2); gives the tunable task.
"""

import re
from typing import Any

import tvm

from mnc.compile.frontend import tasks
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.templates import convolution_depthwise, depthwise, direct, pointwise
from mnc.support.errors import UserError
from mnc.targets import Target

# Of MobileNet v1 and v2 at 224: small and large maps, few and many channels, both strides.
DEFAULT = (
    "pointwise 32->64 112",
    "pointwise 128->128 56",
    "pointwise 256->512 14",
    "pointwise 512->512 14",
    "pointwise 512->1024 7",
    "pointwise 96->576 14",
    "depthwise 32 112",
    "depthwise 128 56/2",
    "depthwise 512 14",
    "depthwise 1024 7",
    "first 3->32 224/2",
    "conv 64->64 14",
    "fused 128->128 56",
    "fused 256->256 28/2",
)
_FORM = re.compile(
    r"(?P<kind>pointwise|depthwise|first|conv|fused) (?:(?P<inputs>\d+)->)?(?P<outputs>\d+) (?P<size>\d+)"
    r"(?:/(?P<stride>[12]))?$"
)


def task_of(text: str, target: Target) -> TunableTask:
    """The task of a workload; all but pointwise ones have 3x3 kernels. UserError for another form."""
    match = _FORM.match(text)
    if match is None:
        raise UserError(
            f"no workload {text!r}; write it as 'pointwise 64->128 56' (channels, size) "
            "or 'depthwise 256 28/2'"
        )
    kind = match["kind"]
    outputs = _padded(int(match["outputs"]), target.lanes)
    inputs = int(match["inputs"] or outputs)
    size, stride = int(match["size"]), int(match["stride"] or 1)
    if kind == "fused":
        return _fused(inputs, outputs, size, stride, target)
    name, data, kernel = _shapes(kind, inputs, outputs, size, target.lanes)
    padding = (0,) * 4 if kind == "pointwise" else _same(stride)
    layouts = (f"NCHW{data[4]}c", f"NCHW{target.lanes}c")
    tensors = (("TENSOR", data, "float32"), ("TENSOR", kernel, "float32"))
    args = (*tensors, (stride, stride), padding, (1, 1), *layouts, "float32")
    return tasks.from_workload(name, args, tvm.target.Target(target.tvm_target()), calls=1)


def _fused(inputs: int, outputs: int, size: int, stride: int, target: Target) -> TunableTask:
    _, data, kernel = _shapes("pointwise", inputs, outputs, size, target.lanes)
    _, _, taps = _shapes("depthwise", outputs, outputs, size, target.lanes)
    bias = (1, outputs // target.lanes, 1, 1, target.lanes)
    tensors = tuple(("TENSOR", shape, "float32") for shape in (data, kernel, bias, taps))
    windows = ((1, 1), (0,) * 4, (stride, stride), _same(stride))
    args = (*tensors, *windows, "relu", "float32")
    made_for = tvm.target.Target(target.tvm_target())
    return tasks.from_workload(convolution_depthwise.NAME, args, made_for, calls=1)


def _same(stride: int) -> tuple[int, int, int, int]:
    """Padding of a 3x3 window as TensorFlow's SAME has it, for maps of even size."""
    return (0, 0, 1, 1) if stride == 2 else (1, 1, 1, 1)


def _padded(channels: int, lanes: int) -> int:
    return -(-channels // lanes) * lanes


def _shapes(kind: str, inputs: int, outputs: int, size: int, lanes: int) -> tuple[str, Any, Any]:
    """Template, data and kernel in blocked layout."""
    if kind == "depthwise":
        return (
            depthwise.NAME,
            (1, outputs // lanes, size, size, lanes),
            (outputs // lanes, 1, 3, 3, 1, lanes),
        )
    block = 1 if kind == "first" else lanes
    chunks = -(-inputs // block)
    side = 1 if kind == "pointwise" else 3
    data = (1, chunks, size, size, block)
    kernel = (outputs // lanes, chunks, side, side, block, lanes)
    return pointwise.NAME if kind == "pointwise" else direct.NAME, data, kernel
