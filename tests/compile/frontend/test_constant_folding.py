# SPDX-License-Identifier: Apache-2.0
"""Constants are worked out without compiling them, and a scale of each channel goes into the weights."""

from typing import Any

import numpy as np
import tvm
from tvm import relay

from mnc.compile.frontend import constant_folding
from mnc.compile.frontend.expressions import is_call

CHANNELS = np.arange(1, 5, dtype=np.float32).reshape(4, 1, 1)


def convolution(data: Any) -> Any:
    """3x3, 4 channels to 4."""
    weights = relay.const(np.ones((4, 4, 3, 3), np.float32))
    return relay.nn.conv2d(data, weights, channels=4, kernel_size=(3, 3))


def folded(body: Any) -> Any:
    """The body after folding."""
    return constant_folding.fold(tvm.IRModule.from_expr(body))["main"].body


def image() -> Any:
    """A variable of 4 channels."""
    return relay.var("x", shape=(1, 4, 8, 8))


def test_scale_and_shift_after_a_biased_convolution_are_its_weights_and_bias() -> None:
    biased = relay.nn.bias_add(convolution(image()), relay.const(np.full(4, 2, np.float32)))
    scale = relay.rsqrt(relay.const(1 / CHANNELS**2))
    result = folded(relay.add(relay.multiply(biased, scale), relay.const(np.float32(1))))
    assert is_call(result, "add")
    assert is_call(result.args[0], "nn.conv2d")
    np.testing.assert_allclose(result.args[1].data.numpy(), 2 * CHANNELS + 1, rtol=1e-6)
    weights = result.args[0].args[1].data.numpy()
    np.testing.assert_allclose(weights, np.broadcast_to(CHANNELS[..., None], weights.shape), 1e-6)


def test_a_convolution_that_something_else_reads_keeps_its_weights() -> None:
    shared = convolution(image())
    result = folded(relay.Tuple([relay.multiply(shared, relay.const(CHANNELS)), shared]))
    assert result.fields[0].args[0] == result.fields[1]
    assert (result.fields[1].args[1].data.numpy() == 1).all()


def test_a_gate_is_not_taken_for_a_scale() -> None:
    data = image()
    gate = relay.nn.global_avg_pool2d(data)
    result = folded(relay.multiply(convolution(data), gate))
    assert is_call(result, "multiply")
    assert isinstance(result.args[0].args[1], relay.Constant)


def test_constants_are_moved_about_as_relay_moves_them() -> None:
    value = np.arange(24, dtype=np.float16).reshape(1, 2, 3, 4)
    moved = relay.layout_transform(relay.cast(relay.const(value), "float32"), "NCHW", "NHWC")
    result = folded(relay.add(relay.var("x", shape=(2, 12)), relay.reshape(moved, (2, -1))))
    np.testing.assert_array_equal(
        result.args[1].data.numpy(), value.transpose(0, 2, 3, 1).reshape(2, 12)
    )
