# SPDX-License-Identifier: Apache-2.0
"""Workloads to try the model on this machine with: convolutions of MobileNets in the target's blocked layout.

Takes text such as "pointwise 64->128 56" or "depthwise 256 28/2"; gives the tunable task.
"""

import re
from typing import Any

from compile import tasks, tvm_setup  # noqa: F401 - sets TVM up before its first use
from compile.tasks import TunableTask
from compile.templates import depthwise, direct, pointwise
from support.errors import UserError
from targets import Target

import tvm  # isort: skip

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
)
_FORM = re.compile(
    r"(?P<kind>pointwise|depthwise|first|conv) (?:(?P<inputs>\d+)->)?(?P<outputs>\d+) (?P<size>\d+)"
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
    name, data, kernel = _shapes(kind, inputs, outputs, size, target.lanes)
    side = 0 if kind == "pointwise" else 1
    padding = (0, 0, side, side) if stride == 2 and side else (side,) * 4
    layouts = (f"NCHW{data[4]}c", f"NCHW{target.lanes}c")
    tensors = (("TENSOR", data, "float32"), ("TENSOR", kernel, "float32"))
    args = (*tensors, (stride, stride), padding, (1, 1), *layouts, "float32")
    return tasks.from_workload(name, args, tvm.target.Target(target.tvm_target()), calls=1)


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
