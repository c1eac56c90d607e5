# SPDX-License-Identifier: Apache-2.0
"""NaN and infinities go through maxima and minima as in PyTorch, at the price of those that drop them."""

import re

import numpy as np
import pytest
import torch
import tvm
from torch import Tensor
from torch.nn import functional as F
from tvm import relay
from tvm.contrib import graph_executor

from mnc.compile.toolchain import pass_context
from mnc.targets import load

NAN, INF = float("nan"), float("inf")


def image() -> Tensor:
    """(1, 16, 9, 9): numbers, NaN and infinities, and whole channels of them."""
    x = torch.randn((1, 16, 9, 9), generator=torch.Generator().manual_seed(0)) * 3
    x[0, 0, 3, 4], x[0, 1, 0, 0], x[0, 2, 5, 5], x[0, 3, 2, 2] = NAN, NAN, INF, -INF
    x[0, 4], x[0, 5] = INF, -INF
    return x


def reductions() -> tuple[relay.Expr, list[Tensor]]:
    """A function of `x` in Relay, and what PyTorch makes of `image()`."""
    x, y = image(), image().flip(3)
    node = relay.var("x", shape=tuple(x.shape))
    flipped = relay.reverse(node, axis=3)
    blocked = relay.layout_transform(node, "NCHW", "NCHW8c")
    pooled = relay.nn.max_pool2d(
        blocked, (3, 3), (2, 2), padding=(1, 1), layout="NCHW8c", out_layout="NCHW8c"
    )
    pairs = [
        (relay.nn.max_pool2d(node, (2, 2), (2, 2)), F.max_pool2d(x, 2)),
        (relay.layout_transform(pooled, "NCHW8c", "NCHW"), F.max_pool2d(x, 3, 2, 1)),
        (relay.nn.adaptive_max_pool2d(node, (1, 1)), F.adaptive_max_pool2d(x, 1)),
        (relay.max(node, axis=(2, 3)), x.amax((2, 3))),
        (relay.min(node, axis=1), x.amin(1)),
        (relay.maximum(node, flipped), torch.maximum(x, y)),
        (relay.minimum(node, flipped), torch.minimum(x, y)),
        (relay.nn.relu(relay.add(node, flipped)), F.relu(x + y)),
        (relay.clip(node, 0.0, 6.0), F.relu6(x)),
    ]
    return relay.Function([node], relay.Tuple([ours for ours, _ in pairs])), [t for _, t in pairs]


def test_maxima_and_minima_of_every_operator_are_pytorchs() -> None:
    function, wanted = reductions()
    with pass_context.pass_context():
        library = relay.build(tvm.IRModule.from_expr(function), target=load("host").tvm_target())
    graph = graph_executor.GraphModule(library["default"](tvm.cpu()))
    graph.run(x=image().numpy())
    for index, truth in enumerate(wanted):
        np.testing.assert_array_equal(graph.get_output(index).numpy(), truth.numpy(), str(index))


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell", {"vmaxps", "vminps"}),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512", {"vmaxps", "vminps"}),
        (load("rpi4").tvm_target(), {"fmax", "fmin"}),
        (load("armv7").tvm_target(), {"vmax.f32", "vmin.f32"}),
    ],
    ids=["avx2", "avx512", "aarch64", "armv7"],
)
def test_relu6_takes_two_instructions(target: str, wanted: set[str]) -> None:
    """Others compare and select, or (fmaxnm) drop NaN."""
    node = relay.var("x", shape=(1, 8, 4, 8))
    function = relay.Function([node], relay.clip(relay.add(node, node), 0.0, 6.0))
    with pass_context.pass_context():
        library = relay.build(tvm.IRModule.from_expr(function), target=target)
    code = re.findall(r"^\t([a-z]\S+)", library.get_lib().get_source("asm"), re.MULTILINE)
    compares = re.compile(r"v?(f?max|f?min|cmp\w*[ps]s|fcm|bif|bit|bsl|and\w*ps|blend|vc[gl][te])")
    assert {word for word in code if compares.match(word)} == wanted
