# SPDX-License-Identifier: Apache-2.0
"""Every target against the compiler: TVM parses it, LLVM knows its CPU and makes code for it."""

import os
import struct
from pathlib import Path

import msgspec
import pytest
import tvm
from tvm import te
from tvm.target import codegen

from mnc.support.errors import UserError
from mnc.targets import Target, load, names
from mnc.targets.arm_cpus import ARM_CPUS, GENERIC
from mnc.targets.arm_features import KERNEL_NAMES
from mnc.targets.llvm import check_cpu, host_cpu_name

ARM_NAMES = [name for name in names() if name != "x86"]
E_MACHINE = {"aarch64": 183, "arm": 40}  # the ELF specification's EM_AARCH64 and EM_ARM


@pytest.mark.parametrize("name", ARM_NAMES)
def test_tvm_reads_the_target(name: str) -> None:
    target = load(name)
    parsed = tvm.target.Target(target.tvm_target())
    assert parsed.attrs["mcpu"] == target.mcpu
    assert parsed.attrs["model"] == parsed.model == target.model
    assert parsed.attrs["mtriple"] == target.triple
    assert int(parsed.attrs["num-cores"]) == target.fast.count
    assert bool(parsed.features.has_asimd)
    assert list(parsed.keys) == ["arm_cpu", "cpu"]


@pytest.mark.parametrize("name", ARM_NAMES)
def test_llvm_knows_the_cpu_and_fuses_multiply_and_add(name: str, tmp_path: Path) -> None:
    target = load(name)
    check_cpu(target)
    kernel = multiply_add(target)
    fused = {"aarch64": "fmla", "arm": "vfma.f32"}[target.arch]
    # VFPv3, as the Cortex-A9 has it, fuses nothing.
    assert (fused in kernel.get_source("asm")) == (target.mcpu != "cortex-a9")
    path = tmp_path / "kernel.o"
    kernel.save(str(path))
    assert struct.unpack_from("<H", path.read_bytes(), 18)[0] == E_MACHINE[target.arch]


def multiply_add(target: Target) -> tvm.runtime.Module:
    """A kernel on all cores; its code is made when it is asked for."""
    shape = (8, 4 * target.lanes)
    a, b, c = (te.placeholder(shape, name=name) for name in "abc")
    d = te.compute(shape, lambda i, j: a[i, j] * b[i, j] + c[i, j], name="d")
    schedule = te.create_schedule(d.op)
    _, inner = schedule[d].split(d.op.axis[1], target.lanes)
    schedule[d].vectorize(inner)
    schedule[d].parallel(d.op.axis[0])
    return tvm.build(schedule, [a, b, c, d], tvm.target.Target(target.tvm_target()))


@pytest.mark.parametrize("name", ARM_NAMES)
def test_each_class_of_cores_is_a_cpu_of_llvm(name: str) -> None:
    target = load(name)
    for core in target.cores:
        check_cpu(msgspec.structs.replace(target, mcpu=core.cpu))


def test_each_arm_part_is_a_cpu_of_llvm() -> None:
    for cpu in {*ARM_CPUS.values(), GENERIC}:
        check_cpu(msgspec.structs.replace(load("arm"), mcpu=cpu.mcpu))


def test_each_arm_part_implies_what_llvm_says() -> None:
    """Whatever the kernel then does not list is taken off again, SVE above all."""
    for cpu in {*ARM_CPUS.values(), GENERIC}:
        bare = tvm.target.Target(f"llvm -mtriple=aarch64-linux-gnu -mcpu={cpu.mcpu}")
        implied = {str(feature) for feature in codegen.llvm_get_cpu_features(bare)}
        assert cpu.features == implied & KERNEL_NAMES.keys(), cpu.name


@pytest.mark.slow
def test_llvm_makes_code_for_each_arm_part(tmp_path: Path) -> None:
    """It aborts at some, with the process: each in one of its own."""
    for mcpu in sorted({cpu.mcpu for cpu in ARM_CPUS.values()}):
        child = os.fork()
        if child == 0:
            target = msgspec.structs.replace(load("arm"), mcpu=mcpu)
            multiply_add(target).save(str(tmp_path / f"{mcpu}.o"))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, mcpu


def test_an_unknown_cpu_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"no mcpu 'cortex-a27'.*did you mean cortex-a7"):
        check_cpu(msgspec.structs.replace(load("arm"), mcpu="cortex-a27"))


def test_an_x86_name_is_no_arm_cpu() -> None:
    with pytest.raises(UserError, match="no mcpu 'znver3' for aarch64-linux-gnu"):
        check_cpu(msgspec.structs.replace(load("arm"), mcpu="znver3"))


def test_llvm_names_the_host() -> None:
    assert host_cpu_name()
