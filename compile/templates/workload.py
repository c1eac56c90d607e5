# SPDX-License-Identifier: Apache-2.0
"""What a workload computes, read off its template's name and arguments, as logs and tasks have them.

Takes (name, args); gives its `Convolution`s in the order they run: one, or the two of a fused workload.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec

from mnc.compile.templates import (
    convolution_depthwise,
    depthwise,
    integer,
    integer_convolution_depthwise,
    pointwise,
    strassen,
)

Args = tuple[Any, ...]
Workload = tuple[str, Args]
# What a workload's tensors are, in the order in which its arguments list them; one convolution has two.
TENSORS: tuple[Literal["data", "kernel", "bias", "taps", "scale"], ...] = (
    "data",
    "kernel",
    "bias",
    "taps",
    "scale",
)

_Extent = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
_Pad = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
_Pair = tuple[_Extent, _Extent]
_Pads = tuple[_Pad, _Pad, _Pad, _Pad]
_Map = tuple[Literal["TENSOR"], tuple[_Extent, _Extent, _Extent, _Extent, _Extent], str]
_Weights = tuple[
    Literal["TENSOR"], tuple[_Extent, _Extent, _Extent, _Extent, _Extent, _Extent], str
]
# The arguments of one convolution, and of two in one kernel.
_One = tuple[_Map, _Weights, _Pair, _Pads, _Pair, str, str, str]
_Bytes = tuple[
    Literal["TENSOR"],
    Annotated[tuple[_Extent, ...], msgspec.Meta(min_length=6, max_length=7)],
    Literal["int8"],
]
_Integer = tuple[_Map, _Bytes, _Pair, _Pads, _Pair, int, Literal["int32"]]
_TwoIntegers = tuple[
    _Map,
    _Bytes,
    _Map,
    _Bytes,
    _Map,
    int,  # no key has how the map between is stored
    _Pair,
    _Pair,
    _Pads,
    Literal["int32"],
]
_Strassen = tuple[_Map, _Weights, _Map, str, str]
_Two = tuple[_Map, _Weights, _Map, _Weights, _Pair, _Pads, _Pair, _Pads, str, str]


@dataclass(frozen=True)
class Convolution:
    """A blocked convolution: `data` (N, I, H, W, i), `kernel` (O, I / groups, KH, KW, i, o), `padding` (top,
    left, bottom, right). `name` is the template that does it alone; `activation` is what follows it, after a
    bias, in the same workload ("" when nothing does); `by_strassen`: that by seven products for eight.
    """

    name: str
    data: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int] = (1, 1)
    activation: str = ""
    pad_value: int = 0
    dtype: str = "float32"
    by_strassen: bool = False

    @property
    def is_depthwise(self) -> bool:
        """Whether every channel is convolved by itself."""
        return self.name in (depthwise.NAME, integer.DEPTHWISE, integer.COLUMNS, integer.TILE)

    @property
    def groups(self) -> int:
        """Of the blocks of channels; a depthwise one has as many as there are blocks."""
        return self.data[1] // self.kernel[1]

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of what it makes: (N, O, OH, OW, o)."""
        top, left, bottom, right = self.padding
        spread_h, spread_w = (
            (size - 1) * step + 1
            for size, step in zip(self.kernel[2:4], self.dilation, strict=True)
        )
        height = (self.data[2] + top + bottom - spread_h) // self.strides[0] + 1
        width = (self.data[3] + left + right - spread_w) // self.strides[1] + 1
        return (self.data[0], self.kernel[0], height, width, self.kernel[5])

    @property
    def macs(self) -> int:
        """Multiply-adds, padded channels included."""
        batch, chunks, height, width, block = self.output
        taps = self.kernel[2] * self.kernel[3]
        in_channels = 1 if self.is_depthwise else self.kernel[1] * self.kernel[4]
        whole = batch * chunks * height * width * block * in_channels * taps
        return whole * 7 // 8 if self.by_strassen else whole

    @property
    def weights(self) -> int:
        """How many there are: of Strassen's product seven quarters."""
        return math.prod(self.kernel) * 7 // 4 if self.by_strassen else math.prod(self.kernel)

    @property
    def shape(self) -> str:
        """Such as "32->64 112x112" or "64 3x3/2 112x112->56x56"; a batch above 1 comes first."""
        batch = f"{self.data[0]}x " if self.data[0] > 1 else ""
        channels = f"{self.kernel[0] * self.kernel[5]}"
        if not self.is_depthwise:
            channels = f"{self.data[1] * self.data[4]}->{channels}"
            if self.groups > 1:
                channels += f" in {self.groups} groups"
        size = f"{self.data[2]}x{self.data[3]}"
        if self.output[2:4] != self.data[2:4]:
            size += f"->{self.output[2]}x{self.output[3]}"
        if self.name in (pointwise.NAME, integer.POINTWISE):
            return f"{batch}{channels} {size}{' by Strassen' if self.by_strassen else ''}"
        window = f"{self.kernel[2]}x{self.kernel[3]}/{self.strides[0]}"
        if self.dilation != (1, 1):
            window += f" dilated {self.dilation[0]}"
        return f"{batch}{channels} {window} {size}"

    @property
    def workload(self) -> Workload:
        """The workload that computes it alone."""
        tensors = (("TENSOR", self.data, self.dtype), ("TENSOR", self.kernel, self.dtype))
        layouts = (f"NCHW{self.data[4]}c", f"NCHW{self.kernel[5]}c")
        return self.name, (
            *tensors,
            self.strides,
            self.padding,
            self.dilation,
            *layouts,
            self.dtype,
        )


def convolutions(name: str, args: Args) -> tuple[Convolution, ...]:
    """What the workload computes, first to last."""
    if name in integer.NAMES:
        data, kernel, strides, padding, dilation, pad_value, _ = args
        shape = kernel[1]
        if len(shape) == 7:  # input channels in fours
            shape = (*shape[:4], shape[4] * shape[6], shape[5])
        return (
            Convolution(
                name, data[1], shape, strides, padding, dilation, pad_value=pad_value, dtype=data[2]
            ),
        )
    if name == integer_convolution_depthwise.NAME:
        return tuple(one for part in _integer_parts(args) for one in convolutions(*part))
    if name == strassen.NAME:
        data, kernel, _, activation, _ = args
        blocks, _, in_blocks, *_, size, out_size = kernel[1]
        shape = (2 * blocks, 2 * in_blocks, 1, 1, size, out_size)
        whole = Convolution(pointwise.NAME, data[1], shape, (1, 1), (0, 0, 0, 0))
        return (replace(whole, activation=activation, dtype=data[2], by_strassen=True),)
    if name != convolution_depthwise.NAME:
        data, kernel, strides, padding, dilation = args[:5]
        return (Convolution(name, data[1], kernel[1], strides, padding, dilation, dtype=data[2]),)
    data, kernel, _, taps, strides, padding, *then, activation, _ = args
    first_template = convolution_depthwise.producer(kernel[1], strides, padding)
    first = Convolution(
        first_template.NAME,
        data[1],
        kernel[1],
        strides,
        padding,
        activation=activation,
        dtype=data[2],
    )
    second = Convolution(depthwise.NAME, first.output, taps[1], *then)
    return first, replace(second, dtype=data[2])


def _integer_parts(args: Args) -> tuple[Workload, Workload]:
    """The workloads of a pair of convolutions of integers alone."""
    data, kernel, _, taps, _, stored, strides, then, padding, sums = args

    def alone(tensor: Any, weights: Any, steps: Any, pads: Any, value: int) -> Workload:
        dtypes = tensor[2], weights[2]
        name = integer.template_name(tensor[1], weights[1], steps, pads, dtypes=dtypes)
        return name, (tensor, weights, steps, pads, (1, 1), value, sums)

    first = alone(data, kernel, strides, (0, 0, 0, 0), 0)
    between = ("TENSOR", convolutions(*first)[0].output, data[2])
    return first, alone(between, taps, then, padding, stored[0] if stored else 0)


def replaced(name: str, args: Args) -> tuple[Workload, ...]:
    """The workloads that one of several convolutions, or by another algorithm, takes the place of."""
    if name == integer_convolution_depthwise.NAME:
        return _integer_parts(args)
    parts = convolutions(name, args)
    return tuple(part.workload for part in parts) if parts[0].workload[0] != name else ()


def parse(key: str) -> tuple[Convolution, ...]:
    """What the task of this key (`records.trial.task_key`) computes. ValueError for a key of another make."""
    name, bracket, args = key.partition("[")
    form: Any = _Two if name == convolution_depthwise.NAME else _One
    form = _Strassen if name == strassen.NAME else form
    form = _Integer if name in integer.NAMES else form
    form = _TwoIntegers if name == integer_convolution_depthwise.NAME else form
    try:
        found = convolutions(name, msgspec.json.decode(bracket + args, type=form))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"no key of a task: {error}") from None
    if any(extent < 1 for part in found for extent in part.output):
        raise ValueError("no key of a task: its kernel is larger than what it reads")
    return found


def traffic(parts: Sequence[Convolution]) -> int:
    """Bytes of what they read, of their weights and of what the last makes, once each."""
    weights = sum(part.weights for part in parts)
    width = {"float32": 4, "float16": 2}.get(parts[0].dtype, 1)
    return width * (math.prod(parts[0].data) + weights + math.prod(parts[-1].output))
