# SPDX-License-Identifier: Apache-2.0
"""A marked network computes in integers, and in the same ones for every CPU."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relay

from mnc.compile.codegen import network
from mnc.compile.frontend import importer, tasks
from mnc.compile.frontend.importer import Program
from mnc.compile.templates import integer
from mnc.model.quantization import imported
from mnc.model.quantization.graph import graph_of
from mnc.model.quantization.reference import exact_reference
from mnc.targets import load
from tests.compile.frontend import quantized_network
from tests.model.quantization import quantized_forms
from tests.model.quantization.networks import model_of

# Words of four bytes, sdot's and other CPUs' layouts, and maps as uint8 and as int8.
TARGETS = ("host", "rpi5", "rpi4", "armv7")


@cache
def program(target: str) -> Program:
    return importer.import_model(quantized_network.model(), load(target))


@cache
def outputs(target: str) -> Any:
    """What the program for a target gives, compiled for this machine."""
    return run(program(target))[0]


def run(program: Program) -> list[Any]:
    """Its outputs for `images()`, compiled for this machine."""
    from tvm.contrib import graph_executor

    factory = network.with_default_kernels(program, load("host"))
    module = graph_executor.GraphModule(factory["default"](tvm.cpu()))
    found = []
    for image in images():
        module.set_input(0, image)
        module.run()
        found.append([module.get_output(i).numpy() for i in range(module.get_num_outputs())])
    return [np.stack(one) for one in zip(*found, strict=True)]


@cache
def images() -> Any:
    return np.random.default_rng(1).uniform(-2, 2, (3, 1, 3, 32, 32)).astype(np.float32)


def operators(target: str) -> list[Any]:
    found: list[Any] = []
    relay.analysis.post_order_visit(program(target).mod["main"], found.append)
    return [node for node in found if isinstance(node, relay.Call)]


@pytest.mark.parametrize("target", TARGETS)
def test_every_convolution_is_one_of_integers(target: str) -> None:
    found = tasks.extract_all(program(target), load(target))
    assert len(found) >= 8 and {task.task.name for task in found} <= set(integer.NAMES)
    # Layers that differ in the zero points of what they read are one task: logs know no calibration.
    calls = {task.shape: task.calls for task in found}
    assert (calls["48->48 16x16"], calls["48->16 1x1"]) == (2, 2)
    names = [call.op.name for call in operators(target)]
    assert not [name for name in names if "contrib_conv2d" in name or "quantize" in name]


def test_it_is_the_exact_reference_s_to_the_last_bit() -> None:
    reference = exact_reference(graph_of(quantized_network.model()))
    wanted = np.stack([reference(image)[0] for image in images()])
    assert len(np.unique(wanted)) > 20 and (outputs("host") == wanted).all()


def test_sums_whose_axes_move_and_hidden_dense_layers_are_the_reference_s_too() -> None:
    model = quantized_network.model(quantized_network.Heads)
    found = run(importer.import_model(model, load("host")))
    reference = exact_reference(graph_of(model))
    wanted = [np.stack(one) for one in zip(*map(reference, images()), strict=True)]
    for ours, right in zip(found, wanted, strict=True):
        assert ours.shape == right.shape and len(np.unique(right)) > 10 and (ours == right).all()


@pytest.mark.parametrize("target", ["host", "rpi4"])
def test_a_network_that_keeps_its_own_scales_is_the_reference_s_too(target: str) -> None:
    """Trained with maps of 7 bits, so with bounds before each rounding, and weights of -128, which ARM's
    pairs of products in 16 bits do not hold.
    """
    model = imported.with_its_scales(
        model_of(quantized_forms.trained(backend="x86"), (1, 3, 32, 32))
    )
    reference = exact_reference(model.module)
    wanted = np.stack([reference(image)[0] for image in images()])
    program = importer.import_model(model, load(target))
    assert (run(program)[0] == wanted).all()
    kernels = {task.task.args[1][2] for task in tasks.extract_all(program, load(target))}
    assert ("int16" in kernels) == (target == "rpi4")


@pytest.mark.parametrize("target", TARGETS[1:])
def test_every_target_s_program_gives_the_same_bits(target: str) -> None:
    assert (outputs(target) == outputs("host")).all()
