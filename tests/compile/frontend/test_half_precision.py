# SPDX-License-Identifier: Apache-2.0
"""Networks in half precision: what of them is in float16, and that they give numbers where float32 does."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from torch import Tensor, nn
from torch.nn import functional as F
from tvm import relay
from tvm.contrib import graph_executor

from mnc.compile.codegen import network
from mnc.compile.frontend import importer
from mnc.compile.frontend.importer import Program
from mnc.model.half_precision.conversion import in_half
from mnc.model.zoo import Model
from mnc.targets import load
from tests.model.half_precision.networks import Loud
from tests.model.quantization.networks import SHAPE, Blocks, model_of


class Products(nn.Module):
    """Hard swish written out, whose product leaves the range where its result does not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 1)
        self.last = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x * F.relu6(x + 3) / 6
        x = x + F.hardswish(self.second(x))
        made: Tensor = self.last(x.mean((2, 3)))
        return made


NETWORKS = {kind.__name__: kind for kind in (Blocks, Products, Loud)}


@cache
def image() -> Any:
    return np.random.default_rng(0).uniform(-1, 1, SHAPE).astype(np.float32)


@cache
def model(name: str) -> Model:
    torch.manual_seed(0)
    return in_half(model_of(NETWORKS[name]()), [torch.from_numpy(image())])


@cache
def program(name: str) -> Program:
    return importer.import_model(model(name), load("rpi5"))


@cache
def executor(name: str) -> Any:
    """The program compiled for this machine, which rounds as an ARM core does."""
    factory = network.with_default_kernels(program(name), load("host"), family="blocked")
    return graph_executor.GraphModule(factory["default"](tvm.cpu()))


def run(name: str, data: Any) -> Any:
    executor(name).run(**{model(name).input_name: data})
    return executor(name).get_output(0).numpy()


def types(name: str, operator: str) -> list[str]:
    """What the network's operators of that name read."""
    found: list[str] = []

    def look(node: Any) -> None:
        if isinstance(node, relay.Call) and getattr(node.op, "name", "").endswith(operator):
            found.append(str(node.args[0].checked_type.dtype))

    relay.analysis.post_order_visit(program(name).mod["main"], look)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_float32_s_to_within_halves(name: str) -> None:
    wanted = model(name).reference()(image())[0]
    found = run(name, image())
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 5e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_an_input_a_thousand_times_as_large_gives_numbers(name: str) -> None:
    for scale in (1e3, -1e3):
        found = run(name, image() * np.float32(scale))
        assert np.isfinite(found).all() and np.ptp(found) > 0


def test_nan_stays_nan() -> None:
    data = image().copy()
    data[0, 1, 3, 3] = np.nan
    assert np.isnan(run("Blocks", data)).all()


def test_convolutions_are_of_halves_but_those_beyond_their_range() -> None:
    assert set(types("Blocks", "conv2d_NCHWc")) == {"float16"}
    assert types("Loud", "conv2d_NCHWc") == ["float16", "float32", "float32"]


def test_exponentials_and_means_are_of_float32() -> None:
    assert set(types("Blocks", "sigmoid") + types("Blocks", "mean")) == {"float32"}
    assert len(types("Blocks", "sigmoid")) == 1


def test_hard_swish_written_out_is_of_float32_up_to_its_quotient() -> None:
    """x * relu6(x + 3) is six times what it is divided to."""
    data = np.full(SHAPE, 3e4, np.float32)
    wanted = model("Products").reference()(data)[0]
    assert np.abs(wanted).max() < 65504
    assert np.abs(run("Products", data) - wanted).max() < 1e-2 * np.abs(wanted).max()
