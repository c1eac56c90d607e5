# SPDX-License-Identifier: Apache-2.0
"""The templates of convolutions in 8-bit integers with 32-bit sums, in the blocked layout, by name.

All take data (uint8 or int8), kernel (int8; int16 where `instructions.fit` says so) and the value that
padding reads; they give int32 sums. Those of `integer_pointwise` and `integer_direct` use the CPU's
`instructions`; for CPUs without any, and for depthwise convolutions, there are the float32 templates on
widened numbers, for which LLVM finds the multiply-adds of 16-bit pairs by itself (vpdpwssd, vpmaddwd,
smlal).
"""

from typing import Any

from tvm import autotvm

from mnc.compile.templates import (
    blocked,
    depthwise,
    depthwise_tile,
    direct,
    integer_depthwise,
    integer_depthwise_tile,
    integer_direct,
    integer_image,
    integer_pointwise,
    packed_image,
)

COLUMNS, TILE = integer_depthwise.NAME, integer_depthwise_tile.NAME
POINTWISE, GROUPED = integer_pointwise.NAME, integer_direct.NAME
IMAGE = integer_image.NAME
DEPTHWISE = "depthwise_int8_NCHWc.mnc"
DIRECT = "direct_int8_NCHWc.mnc"
NAMES = (POINTWISE, COLUMNS, TILE, GROUPED, IMAGE, DEPTHWISE, DIRECT)
SUMS = "int32"


def template_name(
    data: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: Any,
    padding: Any,
    *,
    dtypes: tuple[str, str] = ("uint8", "int8"),
) -> str:
    """The template for blocked `data` (N, I, H, W, i) and `kernel`, whose input channels lie in groups where
    it has seven axes (O, I, KH, KW, i / g, o, g). `dtypes` are the data's and the
    kernel's.
    """
    alone = kernel[1] == 1 and kernel[4] == 1 and data[4] == kernel[5] and data[1] == kernel[0]
    alone = alone and data[4] > 1
    if len(kernel) == 7 and alone and kernel[6] == 1:
        return COLUMNS
    if len(kernel) == 7 and data[4] == kernel[6] == packed_image.PAIR and dtypes[0] == "int8":
        return IMAGE
    if len(kernel) == 7:
        one_to_one = kernel[2:4] == (1, 1) and blocked.pair(strides) == (1, 1)
        return POINTWISE if one_to_one and kernel[1] == data[1] else GROUPED
    if alone and dtypes == ("int8", "int8") and data[4] == depthwise_tile.BLOCK:
        return TILE
    return DEPTHWISE if alone else DIRECT


def _widened(template: Any) -> Any:
    """The float32 template's sums, of numbers widened to 32 bits."""

    def compute(
        cfg: Any,
        data: Any,
        kernel: Any,
        strides: Any,
        padding: Any,
        dilation: Any,
        pad_value: int,
        out_dtype: str,
    ) -> Any:
        window = blocked.window(data, kernel, strides, padding, dilation, pad_value=pad_value)
        template.define_space(cfg, data, kernel, window)
        return template.product(data, kernel, window, tag=template.TAG, sums=SUMS)

    return compute


# (compute, schedule) by name.
TEMPLATES = {
    template.NAME: (template.compute, template.schedule)
    for template in (
        integer_pointwise,
        integer_depthwise,
        integer_depthwise_tile,
        integer_direct,
        integer_image,
    )
} | {
    name: (
        autotvm.register_topi_compute(name)(_widened(template)),
        autotvm.register_topi_schedule(name)(template.schedule_with),
    )
    for name, template in ((DEPTHWISE, depthwise), (DIRECT, direct))
}
