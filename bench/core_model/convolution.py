# SPDX-License-Identifier: Apache-2.0
"""A convolution as data: its sizes, its arithmetic and bytes, and how often MobileNet v1 calls it.

Takes nothing; gives `LoggedConvolution` and `mobilenet_calls`. Batches of one image, NCHW, float32.
"""

from typing import Literal

import msgspec

Kind = Literal["first", "pointwise", "depthwise", "other"]
KINDS: tuple[Kind, ...] = ("first", "pointwise", "depthwise", "other")


class LoggedConvolution(msgspec.Struct, frozen=True):
    """Sizes in channels and pixels; `padding` is top, left, bottom, right."""

    depthwise: bool
    inputs: int
    height: int
    width: int
    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int] = (1, 1)
    batch: int = 1

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output map."""
        top, left, bottom, right = self.padding
        reach = [(size - 1) * gap + 1 for size, gap in zip(self.kernel, self.dilation, strict=True)]
        return (
            (self.height + top + bottom - reach[0]) // self.stride[0] + 1,
            (self.width + left + right - reach[1]) // self.stride[1] + 1,
        )

    @property
    def flops(self) -> int:
        """Floating-point operations, a multiply-add counting two."""
        height, width = self.output_size
        per_output = self.kernel[0] * self.kernel[1] * (1 if self.depthwise else self.inputs)
        return 2 * self.batch * self.outputs * height * width * per_output

    @property
    def input_bytes(self) -> int:
        return 4 * self.batch * self.inputs * self.height * self.width

    @property
    def output_bytes(self) -> int:
        height, width = self.output_size
        return 4 * self.batch * self.outputs * height * width

    @property
    def weight_bytes(self) -> int:
        inputs = 1 if self.depthwise else self.inputs
        return 4 * self.outputs * inputs * self.kernel[0] * self.kernel[1]

    @property
    def kind(self) -> Kind:
        """As MobileNet has them; "first" is a whole convolution of an image of three channels."""
        if self.depthwise:
            return "depthwise"
        if self.kernel == (1, 1):
            return "pointwise"
        return "first" if self.inputs == 3 else "other"

    def __str__(self) -> str:
        kernel = "x".join(map(str, self.kernel))
        size = f"{self.height}x{self.width}" if self.height != self.width else str(self.height)
        stride = "" if self.stride == (1, 1) else f" /{self.stride[0]}"
        channels = str(self.inputs) if self.depthwise else f"{self.inputs}->{self.outputs}"
        kind = "dw" if self.depthwise else "conv"
        return f"{kind} {kernel}{stride} {channels} @{size}"


# (channels in, channels out, stride of the depthwise part, size of its input map, repeats): the blocks of
# MobileNet v1 1.0 224 (arXiv:1704.04861, table 1).
BLOCKS = (
    (32, 64, 1, 112, 1),
    (64, 128, 2, 112, 1),
    (128, 128, 1, 56, 1),
    (128, 256, 2, 56, 1),
    (256, 256, 1, 28, 1),
    (256, 512, 2, 28, 1),
    (512, 512, 1, 14, 5),
    (512, 1024, 2, 14, 1),
    (1024, 1024, 1, 7, 1),
)
CONVOLUTIONS = 1 + 2 * sum(block[-1] for block in BLOCKS)


def mobilenet_calls() -> dict[LoggedConvolution, int]:
    """Every convolution of MobileNet v1 1.0 224 with padding of one all round, and its number of calls.

    The classifier, a convolution of one pixel, is not among them.
    """
    ones = (1, 1, 1, 1)
    calls = {LoggedConvolution(False, 3, 224, 224, 32, (3, 3), (2, 2), ones): 1}
    for inputs, outputs, stride, size, repeats in BLOCKS:
        depthwise = LoggedConvolution(
            True, inputs, size, size, inputs, (3, 3), (stride, stride), ones
        )
        out = size // stride
        pointwise = LoggedConvolution(
            False, inputs, out, out, outputs, (1, 1), (1, 1), (0, 0, 0, 0)
        )
        calls[depthwise] = calls.get(depthwise, 0) + repeats
        calls[pointwise] = calls.get(pointwise, 0) + repeats
    return calls
