# SPDX-License-Identifier: Apache-2.0
"""Every config of the templates computes the convolution, on shapes that divide badly too."""

from typing import Any

import numpy as np
import pytest
import tvm

from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.measure import compile_worker, reference, run_worker
from mnc.compile.measure.messages import spec_of
from mnc.compile.templates import depthwise, pointwise
from mnc.compile.templates.workload import TENSORS
from tests.compile.templates.workloads import ARM_KEYS, CASES, HOST, convolution

SAMPLES = 6


def sample(task: TunableTask) -> list[int]:
    """Some valid configs, the same on every run."""
    space = task.task.config_space
    valid = [i for i in range(space.range_length) if space.is_index_valid(i)]
    assert valid, f"{task.shape} has no config at all"
    random = np.random.default_rng(0)
    return [int(i) for i in random.choice(valid, min(SAMPLES, len(valid)), replace=False)]


def kernel_output(task: TunableTask, config: Any) -> Any:
    """Compile one config and run it on the reference's inputs."""
    kernel, arguments = compile_worker.build(spec_of(task), config.to_json_dict())
    *inputs, output = reference.check_inputs(task)
    known = dict(zip(TENSORS, inputs, strict=False)) | {"output": np.full_like(output, np.nan)}
    buffers = [tvm.nd.array(array) for array in run_worker.match(known, arguments)]
    kernel(*buffers)
    return next(b for b, one in zip(buffers, arguments, strict=True) if one.is_output).numpy()


@pytest.mark.parametrize("name", CASES)
def test_every_sampled_config_agrees_with_the_reference(name: str) -> None:
    task = CASES[name]
    wanted = reference.expected(task, reference.check_inputs(task))
    for index in sample(task):
        config = task.task.config_space.get(index)
        actual = kernel_output(task, config)
        np.testing.assert_allclose(
            actual, wanted, atol=1e-5 * np.abs(wanted).max(), err_msg=str(config)
        )


def test_slabs_of_several_tiles_agree_with_the_reference_with_and_without_blocks_of_rows() -> None:
    shapes = (1, 32, 14, 14, 4), (16, 32, 1, 1, 4, 4)
    task = convolution(pointwise.NAME, *shapes, target=ARM_KEYS)
    wanted = reference.expected(task, reference.check_inputs(task))
    slabs = [c for c in _configs(task) if c["slab"].val > 1 and c["tile_oc"].val > 1]
    orders = {c["order"].val: c for c in slabs}
    assert set(orders) == {pointwise.CHANNEL_OUTER, pointwise.ROW_BLOCKS}
    for config in orders.values():
        np.testing.assert_allclose(
            kernel_output(task, config), wanted, atol=1e-5 * np.abs(wanted).max()
        )


def test_the_reference_is_a_convolution_as_torch_has_it() -> None:
    import torch

    task = CASES["first 3x3/2"]
    data, weights, _ = reference.check_inputs(task)
    plain = torch.from_numpy(weights).permute(0, 5, 1, 4, 2, 3).reshape(32, 3, 3, 3)
    image = torch.nn.functional.pad(torch.from_numpy(data[..., 0]), (0, 1, 0, 1))
    wanted = torch.nn.functional.conv2d(image, plain, stride=2)
    ours = reference.expected(task, [data, weights, reference.check_inputs(task)[2]])
    ours = ours.transpose(0, 1, 4, 2, 3).reshape(wanted.shape)
    np.testing.assert_allclose(ours, wanted.numpy(), atol=1e-5)


def test_no_config_wants_more_registers_than_there_are() -> None:
    task = CASES["pointwise 14x14"]
    space = task.task.config_space
    with tvm.target.Target(HOST):
        registers = 16  # generic x86-64 has 16 vector registers, AArch64 32
        if "aarch64" in str(tvm.target.codegen.llvm_get_system_triple()):
            registers = 32
    for index in range(space.range_length):
        if space.is_index_valid(index):
            config = space.get(index)
            tile_oc, tile_p = config["tile_oc"].val, config["tile_p"].val
            assert tile_oc * tile_p + tile_oc + 1 <= registers


def test_no_config_leaves_a_core_idle_where_another_does_not() -> None:
    """Two cores at least: one parallel step of a kernel would run on one of them."""
    fused_first = _configs("fused first 3x3/2")
    steps = {2 // c["tile_oc"].val * (20 // c["tile_rows"].val) for c in fused_first}
    assert min(steps) >= 2
    assert not any(
        config["parallel_rows"].val == depthwise.CHANNELS
        for config in _configs("depthwise 5x5 prime")
    )


def test_cores_can_keep_their_rows_where_these_part_evenly() -> None:
    for name in ("pointwise 14x14", "depthwise 3x3/1"):
        knob = "order" if name.startswith("pointwise") else "parallel_rows"
        config = next(c for c in _configs(name) if c[knob].val == depthwise.ROW_BLOCKS)
        task = CASES[name]
        wanted = reference.expected(task, reference.check_inputs(task))
        np.testing.assert_allclose(
            kernel_output(task, config), wanted, atol=1e-5 * np.abs(wanted).max()
        )
    assert all(c["order"].val != pointwise.ROW_BLOCKS for c in _configs("pointwise 13x13 prime"))


def _configs(of: str | TunableTask) -> list[Any]:
    space = (CASES[of] if isinstance(of, str) else of).task.config_space
    return [space.get(i) for i in range(space.range_length) if space.is_index_valid(i)]
