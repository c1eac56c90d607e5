# SPDX-License-Identifier: Apache-2.0
"""Pooling whose last windows reach beyond the map, which the compiler's importer counts otherwise.

Take an ATen operator's arguments, in its schema's order; give what the operator gives, or NotImplemented.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mnc.model.trace_constants import known_now, shape_of

Ints = Sequence[int]
ADAPTIVE = ("adaptive_avg_pool2d", "adaptive_max_pool2d")
MAXIMUM = ("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices")


def max_pool(operator: Any) -> Callable[..., Any]:
    """The operator over a map with -inf behind it, where the importer would count a window too many: one
    that begins beyond the map.
    """

    def pooled(
        x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
    ) -> Any:
        if not ceil_mode:
            return NotImplemented
        size = shape_of(x)[2:]
        each = [_for_axes(one, len(size)) for one in (kernel, stride or kernel, padding, dilation)]
        with known_now():
            made = operator(torch.zeros(1, 1, *size), *each, True)
            wanted = (made[0] if isinstance(made, tuple) else made).shape[2:]
        behind: list[int] = []
        counted: list[int] = []
        for extent, made, window, step, pad, spacing in zip(size, wanted, *each, strict=True):
            reach = spacing * (window - 1) + 1
            counted.append(math.ceil((extent + 2 * pad - reach) / step) + 1)
            behind = [0, max(0, (made - 1) * step + reach - extent - 2 * pad), *behind]
        if counted == list(wanted):
            return NotImplemented
        return operator(F.pad(x, behind, value=-math.inf), *each, False)

    return pooled


def adaptive(*_: Any) -> Any:
    """Fine as it is, once a replay has made numbers of the sizes that the trace works out."""
    return NotImplemented


def _for_axes(value: Ints, axes: int) -> list[int]:
    return list(value) * axes if len(value) == 1 else list(value)


def avg_pool2d(
    x: Tensor,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    """The mean over a padded map without padding of its own, times what its windows count differently."""
    if not ceil_mode and divisor is None:
        return NotImplemented
    size, steps, pads = _for_axes(kernel, 2), _for_axes(stride or kernel, 2), _for_axes(padding, 2)

    def right(of: Tensor) -> Tensor:
        return F.avg_pool2d(of, size, steps, pads, ceil_mode, count_include_pad, divisor)

    with known_now():
        ones = torch.ones(1, 1, *x.shape[2:])
        wanted = F.avg_pool2d(ones, size, steps, pads, ceil_mode, count_include_pad, divisor)
        windows = zip(wanted.shape[2:], x.shape[2:], size, steps, pads, strict=True)
        around: list[int] = []
        for made, given, window, step, before in reversed(list(windows)):
            around += [before, max(0, (made - 1) * step + window - given - before)]
        height, width = wanted.shape[2:]
        factor = wanted / F.avg_pool2d(F.pad(ones, around), size, steps)[..., :height, :width]
        first = float(factor.flatten()[0])
        uniform = bool((factor == first).all())
    plain = F.avg_pool2d(F.pad(x, around), size, steps)[..., :height, :width]
    return plain * (first if uniform else factor)
