# SPDX-License-Identifier: Apache-2.0
"""Importing this makes the fused template wrong: it convolves with the taps, then depthwise with the kernel.

For the processes of a measurer only, which import what a task names; tests name it by `tuning_tasks.SWAPPED`.
Where kernel and taps have one shape only the values tell.
"""

from typing import Any

from tvm.autotvm.task.task import TASK_TABLE

from mnc.compile.templates import convolution_depthwise

_template = TASK_TABLE[convolution_depthwise.NAME]
_right = _template.fcompute


def _swapped(data: Any, kernel: Any, bias: Any, taps: Any, *rest: Any) -> Any:
    return _right(data, taps, bias, kernel, *rest)


_template.fcompute = _swapped
