# SPDX-License-Identifier: Apache-2.0
"""What the templates make of their default configs: loops in TIR and, where the time goes, in assembly."""

import textwrap
from typing import Any

import msgspec
import pytest
import tvm

from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.measure import compile_worker
from mnc.compile.measure.messages import spec_of
from mnc.compile.measure.simulate_worker import kernel_of
from mnc.compile.simulator.listing import ListedInstruction, Loop, loops
from mnc.compile.simulator.simulate import simulate
from mnc.compile.templates import depthwise, direct, pointwise
from mnc.compile.tuning.search import default_config
from mnc.targets import Target, load
from tests.compile.templates.workloads import convolution, fused
from tests.golden import Golden

SIZE, CHANNELS, SAME = 14, 64, (1, 1, 1, 1)


def _x86(cpu: str, bits: int) -> Target:
    """A target with vectors of so many bits; its caches are a board's, which neither text depends on."""
    board = load("rk3399")
    core = msgspec.structs.replace(
        board.fast, cpu=cpu, vector_bits=bits, vector_registers=bits // 16
    )
    return msgspec.structs.replace(
        board, name=cpu, model=cpu, mcpu=cpu, triple="x86_64-linux-gnu", cores=(core,)
    )


# None is this machine: the texts are the same on every one.
TARGETS = {
    "avx512": _x86("skylake-avx512", 512),
    "avx2": _x86("znver3", 256),
    "aarch64": load("rk3399"),
}


def small(template: str, target: Target) -> TunableTask:
    """A small workload of the template."""
    lanes, text = target.lanes, target.tvm_target()
    chunks = CHANNELS // lanes
    data, product = (1, chunks, SIZE, SIZE, lanes), (chunks, chunks, 1, 1, lanes, lanes)
    if template == "pointwise":
        return convolution(pointwise.NAME, data, product, target=text)
    if template == "depthwise":
        taps = (chunks, 1, 3, 3, 1, lanes)
        return convolution(depthwise.NAME, data, taps, pad=SAME, target=text)
    if template == "direct":
        image, taps = (1, 3, 2 * SIZE, 2 * SIZE, 1), (chunks, 3, 3, 3, 1, lanes)
        return convolution(direct.NAME, image, taps, strides=(2, 2), pad=SAME, target=text)
    assert template == "convolution_depthwise"
    return fused(data, product, 3, target=text)


def loops_in_tir(task: TunableTask, config: Any) -> str:
    """TIR with its buffers flat, before loops are unrolled and vectorized."""
    with compile_worker.tuning(), task.task.target:
        module = tvm.driver.build_module.schedule_to_module(*task.task.instantiate(config))
    passes = [tvm.tir.transform.StorageFlatten(64), tvm.tir.transform.Simplify()]
    text = tvm.transform.Sequential(passes)(module).script(show_meta=False)
    return textwrap.dedent(text.partition("@T.prim_func\n")[2])


def hot_loop(task: TunableTask, config: Any, target: Target) -> Loop:
    """The loop that the most instructions are run in."""
    kernel = kernel_of(*compile_worker.build(spec_of(task), config.to_json_dict()))
    ran = simulate(kernel, target).listing
    return loops(
        [ListedInstruction(one.line.address, one.line.text, one.count, one.count) for one in ran]
    )[0]


def text_of(loop: Loop) -> str:
    """How often the loop is run through, and its instructions; addresses are numbered labels, or `out`."""
    inside = [line.address for line in loop.lines]
    labels = sorted({line.jumps_to for line in loop.lines if line.jumps_to in inside})
    shown = [f"{loop.passes} passes"]
    for line in loop.lines:
        shown += [f"{labels.index(line.address)}:"] if line.address in labels else []
        target = line.jumps_to
        to = f"{labels.index(target)}" if target in labels else "out"
        shown.append("    " + (line.text if target is None else line.text.replace(hex(target), to)))
    return "\n".join(shown)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("template", ["pointwise", "depthwise", "direct", "convolution_depthwise"])
def test_the_loops_are_those_last_looked_at(template: str, target: str, golden: Golden) -> None:
    task = small(template, TARGETS[target])
    config = default_config(task.task)
    knobs = " ".join(f"{name}={config[name].val}" for name in task.task.config_space.space_map)
    text = f"{task.shape}, {knobs}\n\n{loops_in_tir(task, config)}"
    golden.check(f"{template}_{target}_tir", text)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("template", ["pointwise", "depthwise"])
def test_the_hot_loop_is_the_one_last_looked_at(template: str, target: str, golden: Golden) -> None:
    task = small(template, TARGETS[target])
    loop = hot_loop(task, default_config(task.task), TARGETS[target])
    golden.check(f"{template}_{target}_loop", text_of(loop))
