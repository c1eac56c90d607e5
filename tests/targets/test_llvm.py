# SPDX-License-Identifier: Apache-2.0
"""Every target against the compiler: TVM parses it, LLVM knows its CPU and makes code for it."""

import struct
from pathlib import Path

import msgspec
import pytest
import tvm
from tvm import te

from mnc.support.errors import UserError
from mnc.targets import load, names
from mnc.targets.arm_cpus import ARM_CPUS
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
    n = 4 * target.lanes
    a, b, c = (te.placeholder((n,), name=name) for name in "abc")
    d = te.compute((n,), lambda i: a[i] * b[i] + c[i], name="d")
    schedule = te.create_schedule(d.op)
    _, inner = schedule[d].split(d.op.axis[0], target.lanes)
    schedule[d].vectorize(inner)
    kernel = tvm.build(schedule, [a, b, c, d], tvm.target.Target(target.tvm_target()))
    fused = {"aarch64": "fmla", "arm": "vfma.f32"}[target.arch]
    # VFPv3, as the Cortex-A9 has it, fuses nothing.
    assert (fused in kernel.get_source("asm")) == (target.mcpu != "cortex-a9")
    path = tmp_path / "kernel.o"
    kernel.save(str(path))
    assert struct.unpack_from("<H", path.read_bytes(), 18)[0] == E_MACHINE[target.arch]


@pytest.mark.parametrize("name", ARM_NAMES)
def test_each_class_of_cores_is_a_cpu_of_llvm(name: str) -> None:
    target = load(name)
    for core in target.cores:
        check_cpu(msgspec.structs.replace(target, mcpu=core.cpu))


def test_each_arm_part_is_a_cpu_of_llvm() -> None:
    for cpu in ARM_CPUS.values():
        check_cpu(msgspec.structs.replace(load("arm"), mcpu=cpu.name))


def test_an_unknown_cpu_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"no mcpu 'cortex-a27'.*did you mean cortex-a7"):
        check_cpu(msgspec.structs.replace(load("arm"), mcpu="cortex-a27"))


def test_an_x86_name_is_no_arm_cpu() -> None:
    with pytest.raises(UserError, match="no mcpu 'znver3' for aarch64-linux-gnu"):
        check_cpu(msgspec.structs.replace(load("arm"), mcpu="znver3"))


def test_llvm_names_the_host() -> None:
    assert host_cpu_name()
