# SPDX-License-Identifier: Apache-2.0
"""A tiny network in Relay as the compiler has it: blocked, weights packed, then with its pair fused."""

import dataclasses
import re
from typing import Any

import pytest
import tvm
from torch import Tensor
from tvm import relay

from mnc.compile.frontend import fusion, importer
from mnc.model import zoo
from mnc.model.inputs import Input
from mnc.model.zoo import Model
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile.conftest import SHAPE, TinyNet
from tests.golden import Golden

TARGET = load("rk3399")  # blocks of four channels


def tiny(shape: tuple[int, ...] = SHAPE) -> Model:
    """A convolution, a depthwise one, a pointwise one and a classifier of seven classes."""
    return Model("tiny", TinyNet().eval(), shape, None, (), "random", "")


def text_of(mod: Any) -> str:
    """One call a line with its attributes and the shape it gives; of a constant, the shape."""
    text = mod.astext(show_meta_data=False).partition("{\n")[2].partition("\n}\n")[0]
    text = re.sub(r"meta\[.*?\]\[\d+\] /\* ty=Tensor\[(.*?), float32\] \*/", r"constant\1", text)
    text = re.sub(r" /\* ty=Tensor\[(.*?), float32\].*?\*/", r" -> \1", text)
    return re.sub(r"__dict__=\{(.*)\}", _sorted, text)


def _sorted(attributes: re.Match[str]) -> str:
    """They come in the order of a hash table."""
    return ", ".join(sorted(re.findall(r'"\w+"=(?:\[.*?\]|"\w+")', attributes[1])))


def test_the_blocked_network_is_the_one_last_looked_at(golden: Golden) -> None:
    mod = importer.import_model(tiny(), TARGET).mod
    golden.check("tiny_blocked", text_of(mod))
    golden.check("tiny_fused", text_of(fusion.fuse(mod)))


def test_the_program_knows_what_goes_in_and_out() -> None:
    program = importer.import_model(tiny((2, *SHAPE[1:])), TARGET)
    assert program.inputs == (Input("input", (2, 3, 16, 16)),)
    assert program.output_shapes == ((2, 7),)


class Chooses(TinyNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).argmax(1)


def test_an_output_that_is_not_of_floats_is_refused_by_name() -> None:
    chooses = dataclasses.replace(tiny(), network=Chooses().eval())
    with pytest.raises(UserError, match=r"its output 0 is int\d\d, and outputs are float32"):
        importer.import_model(chooses, TARGET)


def test_a_shape_that_the_network_cannot_take_is_one_clear_line() -> None:
    with pytest.raises(
        UserError, match=r"tiny cannot be imported for input \(1, 5, 16, 16\)"
    ) as error:
        importer.import_model(tiny((1, 5, 16, 16)), TARGET)
    assert "\n" not in str(error.value) and "--input-shape" in str(error.value)


def operators(mod: Any) -> set[str]:
    """Names of the Relay operators of a module."""
    names: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op):
            names.add(node.op.name)

    relay.analysis.post_order_visit(mod["main"], visit)
    return names


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v3_small_0.35_32", "mobilenet_v4_conv_small_0.35_32", "efficientnet_lite0_0.35_32"],
)
def test_later_mobile_networks_are_blocked_from_end_to_end(name: str) -> None:
    """Squeezes, hard swish between dense layers and two filters in a block: nothing is TVM's own, nothing is
    transformed, and no value is divided.
    """
    found = operators(importer.import_model(zoo.load(name), TARGET).mod)
    assert {"nn.contrib_conv2d_NCHWc", "nn.contrib_depthwise_conv2d_NCHWc"} <= found
    assert not found & {"nn.conv2d", "nn.dense", "layout_transform", "divide"}
