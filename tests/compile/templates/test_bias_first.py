# SPDX-License-Identifier: Apache-2.0
"""Where sums of AArch64's pointwise tiles, and of integers, start: from the bias, where one is added to each
channel.
"""

from collections.abc import Callable
from typing import Any

import pytest
import tvm
from tvm import te
from tvm.autotvm.task import ApplyConfig
from tvm.autotvm.task.space import FallbackConfigEntity

from mnc.compile.templates import integer_pointwise, pointwise
from mnc.compile.templates.lane_kernel import PREFIX, Part
from mnc.compile.toolchain.pass_context import pass_context
from mnc.targets import load
from tests.compile.templates.workloads import convolution

SHAPES = (1, 4, 14, 14, 4), (8, 4, 1, 1, 4, 4)
OUT = (1, 8, 14, 14, 4)


def lowered(config: Any, added: tuple[int, ...], at: Callable[..., Any]) -> str:
    """TIR of 16 -> 32 channels at 14x14 and ReLU, with something of shape `added` in between."""
    data, kernel = (
        te.placeholder(shape, name=name) for shape, name in zip(SHAPES, "dk", strict=True)
    )
    more = te.placeholder(added, name="more")
    with tvm.target.Target(load("rpi4").tvm_target()), ApplyConfig(config), pass_context():
        arguments = (1, 1), (0, 0, 0, 0), (1, 1), "NCHW4c", "NCHW4c", "float32"
        summed = pointwise.compute(data, kernel, *arguments)
        clipped = te.compute(
            OUT, lambda *i: te.max(summed(*i) + more(*at(*i)), 0.0), tag="elemwise"
        )
        schedule = pointwise.schedule([clipped])
        return str(tvm.lower(schedule, [data, kernel, more, clipped]))


@pytest.mark.parametrize("order", [pointwise.CHANNEL_OUTER, pointwise.PIXEL_OUTER])
@pytest.mark.parametrize(("channels", "pixels"), [(1, 14), (2, 98), (4, 14)])
def test_sums_start_from_a_bias_of_each_channel_and_from_nothing_else(
    channels: int, pixels: int, order: int
) -> None:
    target = load("rpi4").tvm_target()
    space = convolution(pointwise.NAME, *SHAPES, target=target).task.config_space
    wanted = {"tile_oc": channels, "tile_p": pixels, "order": order}
    valid = (space.get(i) for i in range(space.range_length) if space.is_index_valid(i))
    config = next(c for c in valid if all(c[name].val == value for name, value in wanted.items()))
    of_channels = lowered(config, (1, 8, 1, 1, 4), lambda n, o, y, x, v: (n, o, 0, 0, v))
    assert of_channels.count(Part.BIASED) == of_channels.count(PREFIX) > 0
    assert "more" in of_channels
    for shape, at in (
        (OUT, lambda *i: i),
        ((1, 1, 1, 1, 4), lambda n, o, y, x, v: (n, 0, 0, 0, v)),
        ((1, 8, 1, 14, 4), lambda n, o, y, x, v: (n, o, 0, x, v)),
    ):
        if channels > 1 or shape != (1, 1, 1, 1, 4):  # of one channel block it is its bias
            assert Part.BIASED not in lowered(config, shape, at)


@pytest.mark.parametrize(("mcpu", "group"), [("znver4", 4), ("haswell", 2)])
def test_integer_sums_start_from_a_bias_of_each_channel_too(mcpu: str, group: int) -> None:
    data = te.placeholder((1, 4, 14, 14, 16), "uint8", name="data")
    kernel = te.placeholder((8, 4, 1, 1, 16 // group, 16, group), "int8", name="kernel")
    out = (1, 8, 14, 14, 16)

    def zeros(added: tuple[int, ...], at: Callable[..., Any]) -> int:
        more = te.placeholder(added, "int32", name="more")
        target = tvm.target.Target(f"llvm -keys=cpu -mcpu={mcpu} -num-cores=2")
        with target, ApplyConfig(FallbackConfigEntity()), pass_context():
            arguments = (1, 1), (0, 0, 0, 0), (1, 1), 0, "int32"
            summed = integer_pointwise.compute(data, kernel, *arguments)
            result = te.compute(
                out, lambda *i: te.max(summed(*i) + more(*at(*i)), 3), tag="elemwise"
            )
            schedule = integer_pointwise.schedule([result])
            return str(tvm.lower(schedule, [data, kernel, more, result])).count("Broadcast(0,")

    assert zeros((1, 8, 1, 1, 16), lambda n, o, y, x, v: (n, o, 0, 0, v)) == 0
    assert zeros(out, lambda *i: i) > 0
    assert zeros((1, 8, 1, 1, 16), lambda n, o, y, x, v: (n, o, 0, 0, 15 - v)) > 0
