# SPDX-License-Identifier: Apache-2.0
"""Every config of the integer templates gives the reference's integers, and uses the CPU's instruction."""

from typing import Any

import msgspec
import numpy as np
import pytest
import tvm

from mnc.compile.frontend import tasks
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.measure import compile_worker, reference, run_worker
from mnc.compile.measure.messages import spec_of
from mnc.compile.templates import instructions, integer, integer_convolution_depthwise
from mnc.compile.templates.workload import TENSORS, parse, replaced
from mnc.compile.toolchain import cpu_features
from mnc.targets import Target, load

# An image of three channels and 23 columns, whose bytes lie in pairs.
IMAGE = ((1, 1, 21, 35, 2), (2, 1, 3, 5, 1, 16, 2), (2, 3), (0, 0, 0, 0))
SHAPES = {
    "pointwise": ((1, 3, 14, 14, 16), (2, 3, 1, 1, 4, 16, 4), (1, 1), (0, 0, 0, 0)),
    "dense": ((1, 4, 1, 1, 16), (3, 4, 1, 1, 4, 16, 4), (1, 1), (0, 0, 0, 0)),
    "depthwise": ((1, 2, 15, 15, 16), (2, 1, 3, 3, 1, 16), (2, 2), (1, 1, 1, 1)),
    "first": ((1, 3, 20, 20, 1), (2, 3, 3, 3, 1, 16), (2, 2), (0, 0, 1, 1)),
    "grouped": ((1, 4, 9, 9, 16), (4, 2, 3, 3, 16, 16), (1, 1), (1, 1, 1, 1)),
    "pairs": IMAGE,
}


# With input channels in groups of as many as the CPU's instruction takes; (O, I, KH, KW, i) of the kernel.
GROUPED = {
    "pointwise": ((1, 3, 14, 14, 16), (2, 3, 1, 1, 16), (1, 1), (0, 0, 0, 0)),
    "dense": ((1, 4, 1, 1, 16), (3, 4, 1, 1, 16), (1, 1), (0, 0, 0, 0)),
    "first": ((1, 1, 21, 23, 4), (2, 1, 3, 3, 4), (2, 2), (0, 0, 0, 0)),
    "grouped": ((1, 4, 9, 9, 16), (4, 2, 3, 3, 16), (1, 1), (0, 0, 0, 0)),
    # Of channels alone: as narrow as a load; one step wider; windows that move by two, by three.
    "narrow": ((1, 2, 5, 4, 16), (2, 1, 3, 3, 1), (1, 1), (1, 1, 1, 1)),
    "same": ((1, 2, 14, 14, 16), (2, 1, 3, 3, 1), (2, 2), (0, 0, 1, 1)),
    "large": ((2, 1, 9, 8, 16), (1, 1, 5, 5, 1), (2, 2), (2, 2, 2, 2)),
    "all border": ((1, 1, 4, 4, 16), (1, 1, 5, 5, 1), (1, 1), (2, 2, 2, 2)),
    "uneven": ((1, 1, 6, 11, 16), (1, 1, 7, 3, 1), (1, 3), (3, 2, 1, 0)),
}


def task_of(name: str, data: str, target: str) -> TunableTask:
    first, kernel, strides, padding = SHAPES[name]
    made = tvm.target.Target(load(target).tvm_target())
    return workload(first, data, kernel, strides, padding, made)


def workload(
    data: Any, dtype: str, kernel: Any, strides: Any, padding: Any, target: Any
) -> TunableTask:
    template = integer.template_name(data, kernel, strides, padding, dtypes=(dtype, "int8"))
    tensors = (("TENSOR", data, dtype), ("TENSOR", kernel, "int8"))
    args = (*tensors, strides, padding, (1, 1), 7, "int32")
    return tasks.from_workload(template, args, target, calls=1)


def runs_here(cpu: str) -> bool:
    needed = cpu_features.required(f"llvm -mtriple=x86_64-linux-gnu -mcpu={cpu}", "x86_64")
    return cpu_features.machine_arch() == "x86_64" and not cpu_features.missing(needed, "x86_64")


def output(task: TunableTask, config: Any) -> Any:
    kernel, arguments = compile_worker.build(spec_of(task), config.to_json_dict())
    *inputs, empty = reference.check_inputs(task)
    known = dict(zip(TENSORS, inputs, strict=False)) | {"output": np.full_like(empty, -1)}
    buffers = [tvm.nd.array(array) for array in run_worker.match(known, arguments)]
    kernel(*buffers)
    return next(b for b, one in zip(buffers, arguments, strict=True) if one.is_output).numpy()


def configs(task: TunableTask, count: int = 4) -> list[Any]:
    space = task.task.config_space
    valid = [i for i in range(space.range_length) if space.is_index_valid(i)]
    chosen = np.random.default_rng(0).choice(valid, min(count, len(valid)), replace=False)
    return [space.get(int(i)) for i in chosen]


@pytest.mark.parametrize("data", ["uint8", "int8"])
@pytest.mark.parametrize("name", SHAPES)
def test_sampled_configs_give_the_reference_s_integers(name: str, data: str) -> None:
    agrees(task_of(name, data, "host"))


X86_GROUPS = {"cascadelake": 4, "alderlake": 4, "skylake-avx512": 2, "haswell": 2}


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize("cpu", X86_GROUPS)
def test_every_family_of_x86_instructions_gives_them(name: str, cpu: str) -> None:
    if not runs_here(cpu):
        pytest.skip(f"this machine cannot run code for {cpu}")
    agrees(grouped_task(name, cpu), count=2)


@pytest.mark.parametrize("name", ["pointwise", "dense"])
@pytest.mark.parametrize("cpu", ["skylake-avx512", "haswell"])
def test_bytes_are_multiplied_where_pairs_of_weights_fit_16_bits(name: str, cpu: str) -> None:
    if not runs_here(cpu):
        pytest.skip(f"this machine cannot run code for {cpu}")
    task = grouped_task(name, cpu, group=4)
    weights = reference.check_inputs(task)[1].astype(int)
    pairs = abs(weights[..., 0::2] + weights[..., 1::2])
    assert pairs.max() == 128 and abs(weights).max() == 127
    agrees(task)
    module, _ = compile_worker.build(spec_of(task), configs(task)[0].to_json_dict())
    assembly = module.get_source("asm")
    assert "vpmaddubsw" in assembly and "vpmovzxbw" not in assembly


@pytest.mark.parametrize(
    ("pair", "group"),
    [((1, 127), 4), ((127, -127), 4), ((-128, 0), 4), ((2, 127), 2), ((-128, -1), 2)],
)
def test_one_pair_above_the_limit_keeps_words(pair: tuple[int, int], group: int) -> None:
    weights = np.zeros((16, 18, 1, 1), np.int8)
    weights[3, 4:6, 0, 0] = pair
    with tvm.target.Target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell"):
        assert instructions.weight_group(weights, pointwise=True) == group
        assert instructions.weight_group(weights, pointwise=False) == 2
    with tvm.target.Target("llvm -mtriple=x86_64-linux-gnu -mcpu=cascadelake"):
        assert instructions.weight_group(weights, pointwise=True) == 4


def test_extreme_bytes_give_exact_sums() -> None:
    if not runs_here("haswell"):
        pytest.skip("this machine cannot run code for haswell")
    task = grouped_task("pointwise", "haswell", group=4)
    data, kernel, empty = reference.check_inputs(task)
    data[:] = 255
    for pair in ((1, 127), (64, 64), (-127, -1), (-128, 0), (127, -127)):
        kernel[..., 0::2], kernel[..., 1::2] = pair
        built, arguments = compile_worker.build(spec_of(task), configs(task)[0].to_json_dict())
        known = dict(zip(TENSORS, (data, kernel), strict=False)) | {"output": empty}
        buffers = [tvm.nd.array(array) for array in run_worker.match(known, arguments)]
        built(*buffers)
        found = next(b for b, one in zip(buffers, arguments, strict=True) if one.is_output)
        assert (found.numpy() == 255 * sum(pair) * 24).all(), pair


def grouped_task(name: str, cpu: str, group: int = 0) -> TunableTask:
    made = tvm.target.Target(f"llvm -mtriple=x86_64-linux-gnu -mcpu={cpu} -num-cores=2")
    data, (*outer, channels), strides, padding = GROUPED[name]
    group = 1 if channels == 1 else group or X86_GROUPS[cpu]
    kernel = (*outer, channels // group, 16, group)
    return workload(data, "uint8", kernel, strides, padding, made)


# Two convolutions as one kernel: data and channel blocks of the map between, the first's kernel and steps,
# the second's taps, steps and padding, and how the map between is stored (zero point, least, greatest).
PAIRS = {
    "pointwise": ((1, 2, 14, 14, 16), 2, (1, 1), (3, 1, (1, 1, 1, 1)), (0, 0, 255)),
    "uneven": ((1, 2, 15, 15, 16), 4, (1, 1), (3, 2, (0, 0, 1, 1)), (10, 0, 255)),
    "odd zero": ((1, 1, 15, 15, 16), 2, (1, 1), (5, 2, (2, 2, 2, 2)), (7, 3, 200)),
    "first": ((1, 1, 33, 33, 4), 2, (3, 2), (3, 1, (1, 1, 1, 1)), (0, 0, 255)),
}


def pair_task(name: str, data: str, target: Any, group: int) -> TunableTask:
    shape, chunks, (size, step), (taps, then, padding), stored = PAIRS[name]
    kernel = (chunks, shape[1], size, size, shape[4] // group, 16, group)
    columns = (1,) if data == "uint8" else ()
    channels = (1, chunks, 1, 1, 16)
    tensors = (
        ("TENSOR", shape, data),
        ("TENSOR", kernel, "int8"),
        ("TENSOR", channels, "int32"),
        ("TENSOR", (chunks, 1, taps, taps, 1, 16, *columns), "int8"),
        ("TENSOR", channels, "float32"),
    )
    moved = tuple(number - (0 if data == "uint8" else 128) for number in stored)
    args = (*tensors, moved, (step, step), (then, then), padding, "int32")
    return tasks.from_workload(integer_convolution_depthwise.NAME, args, target, calls=1)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("cpu", X86_GROUPS)
def test_two_convolutions_in_one_kernel_give_them(name: str, cpu: str) -> None:
    if not runs_here(cpu):
        pytest.skip(f"this machine cannot run code for {cpu}")
    made = tvm.target.Target(f"llvm -mtriple=x86_64-linux-gnu -mcpu={cpu} -num-cores=2")
    task = pair_task(name, "uint8", made, X86_GROUPS[cpu])
    assert task.kind == "fused"
    agrees(task, count=2)


@pytest.mark.parametrize(("target", "group"), [("rpi5", 4), ("rpi4", 16), ("armv7", 16)])
def test_on_arm_two_convolutions_in_one_kernel_use_the_cpu_s_instructions(
    target: str, group: int
) -> None:
    made = tvm.target.Target(load(target).tvm_target())
    task = pair_task("pointwise", "int8", made, group)
    module, _ = compile_worker.build(spec_of(task), configs(task)[0].to_json_dict())
    assembly = module.get_source("asm")
    assert assembly.count(ARM_DEPTHWISE[target]) >= 8
    assert assembly.count(ARM[target][2]) >= 4


def test_a_workload_of_two_convolutions_is_read_back_from_its_key() -> None:
    """But for how the map between is stored, which calibration finds."""
    made = tvm.target.Target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell -num-cores=2")
    task = pair_task("uneven", "uint8", made, 2)
    first, second = parse(task.key)
    assert (first.shape, second.shape) == ("32->64 15x15", "64 3x3/2 15x15->7x7")
    assert second.pad_value == 0 and second.is_depthwise
    assert task.macs == first.macs + second.macs
    alone = [
        tasks.from_workload(*one, made, calls=1) for one in replaced(task.task.name, task.task.args)
    ]
    assert [one.kind for one in alone] == ["pointwise", "depthwise"]


def agrees(task: TunableTask, count: int = 4) -> None:
    wanted = reference.expected(task, reference.check_inputs(task))
    assert wanted.dtype == np.int32 and np.abs(wanted).max() > 1000
    for config in configs(task, count):
        assert run_worker.difference(output(task, config), wanted) == "", str(config)


def test_one_wrong_integer_is_a_difference() -> None:
    wanted = np.arange(10, dtype=np.int32)
    assert run_worker.difference(wanted + (wanted == 3), wanted) == "1 of 10 integers differ"


# On ARM; `pointwise` weights lie in groups of their own. i8mm: a Cortex-A76 that had it.
ARM = {
    "i8mm": (8, "pointwise", "smmla"),
    "rpi5": (4, "pointwise", "sdot"),
    "cortex_a55": (4, "first", "sdot"),
    "rpi4": (16, "pointwise", "smlal2"),
    "rpi3b": (4, "first", "sadalp"),
    "armv7": (16, "pointwise", "vpadal.s16"),
}
ARM_DEPTHWISE = {"rpi5": "zip2", "rpi4": "saddw2", "armv7": "vaddw.s16"}


def with_i8mm() -> Target:
    cpu = load("rpi5")
    return msgspec.structs.replace(cpu, mattr=(*cpu.mattr, "+i8mm"))


@pytest.mark.parametrize("target", ARM)
def test_on_arm_the_hot_loop_is_the_cpu_s_and_its_sums_are_in_registers(target: str) -> None:
    group, name, instruction = ARM[target]
    data, (*outer, channels), strides, padding = GROUPED[name]
    kernel = (*outer, channels // group, 16, group)
    cpu = with_i8mm() if target == "i8mm" else load(target)
    task = workload(data, "int8", kernel, strides, padding, tvm.target.Target(cpu.tvm_target()))
    module, _ = compile_worker.build(spec_of(task), configs(task)[0].to_json_dict())
    assembly = module.get_source("asm")
    assert assembly.count(instruction) >= 4
    assert "AllocWorkspace" not in assembly


@pytest.mark.parametrize("target", ["rpi4", "rpi3b"])
def test_without_the_dot_product_an_image_is_multiplied_by_pairs(target: str) -> None:
    task = task_of("pairs", "int8", target)
    assert (task.task.name, task.kind) == (integer.IMAGE, "first conv")
    for config in configs(task, 2):
        assembly = compile_worker.build(spec_of(task), config.to_json_dict())[0].get_source("asm")
        # Fifteen pairs: one and seven times two, each loaded once for eight vectors of channels at most.
        assert assembly.count("smlal") == assembly.count("sadalp") > 0
        assert assembly.count("ld1r") * 8 * 7 >= assembly.count("sadalp") * 15
        assert "AllocWorkspace" not in assembly


@pytest.mark.parametrize("target", ARM_DEPTHWISE)
def test_on_arm_depthwise_products_are_of_bytes(target: str) -> None:
    task = task_of("depthwise", "int8", target)
    assert task.kind == "depthwise"
    module, _ = compile_worker.build(spec_of(task), configs(task)[0].to_json_dict())
    assert module.get_source("asm").count(ARM_DEPTHWISE[target]) >= 8


@pytest.mark.parametrize("name", ["pointwise", "first", "narrow"])
@pytest.mark.parametrize(
    ("cpu", "instruction"),
    [("cascadelake", "vpdpbusd"), ("alderlake", "vpdpbusd"), ("haswell", "vpmaddwd")],
)
def test_on_x86_the_hot_loops_are_the_cpu_s_own(cpu: str, instruction: str, name: str) -> None:
    task = grouped_task(name, cpu)
    module, _ = compile_worker.build(spec_of(task), configs(task)[0].to_json_dict())
    code = module.get_source("asm")
    assert code.count(instruction) >= 4
    assert "vpmaddubsw" not in code and ("zmm" in code) == (cpu == "cascadelake")


def test_a_workload_of_integers_is_read_back_from_its_key() -> None:
    """But for what padding reads, 7 here, which no key has."""
    task = task_of("pointwise", "uint8", "host")
    (part,) = parse(task.key)
    assert (part.kernel, part.pad_value, part.dtype) == ((2, 3, 1, 1, 16, 16), 0, "uint8")
    assert task.macs == part.macs == 14 * 14 * 32 * 48
