# SPDX-License-Identifier: Apache-2.0
"""The machine the tests run on, described and put to work; and ARM machines from their /proc."""

import platform
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tvm
from tvm import te

from mnc.support.errors import UserError
from mnc.targets import load, topology
from mnc.targets.catalog import FOLDER
from mnc.targets.host import ARM_HOST, OtherArchitectureError, host_target, model_slug
from mnc.targets.x86_cpus import BY_NAME

on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="describes an x86-64 host")


@on_x86
def test_the_host_has_what_its_name_promises() -> None:
    target = load("x86")
    info = topology.cpuinfo()[0]
    assert BY_NAME[target.mcpu].flags <= frozenset(info["flags"].split())
    assert target.arch == "x86_64"
    assert target.fast.count == topology.usable_cores()
    assert ("avx512f" in info["flags"].split()) == (target.fast.vector_bits == 512)
    assert info["model name"] in target.description
    assert target.model.endswith(target.mcpu)


@on_x86
def test_code_for_the_host_runs_on_the_host() -> None:
    target = load("x86")
    n = 64 * target.lanes
    a, b = (te.placeholder((n,), name=name) for name in "ab")
    c = te.compute((n,), lambda i: a[i] * b[i] + a[i], name="c")
    schedule = te.create_schedule(c.op)
    _, inner = schedule[c].split(c.op.axis[0], target.lanes)
    schedule[c].vectorize(inner)
    kernel = tvm.build(schedule, [a, b, c], tvm.target.Target(target.tvm_target()))
    wide = {128: "xmm", 256: "ymm", 512: "zmm"}[target.fast.vector_bits]
    assert wide in kernel.get_source("asm")
    x = np.random.default_rng(0).standard_normal((2, n)).astype("float32")
    out = tvm.nd.array(np.zeros(n, "float32"))
    kernel(tvm.nd.array(x[0]), tvm.nd.array(x[1]), out)
    np.testing.assert_allclose(out.numpy(), x[0] * x[1] + x[0], rtol=1e-6, atol=1e-6)


@on_x86
def test_the_same_host_twice() -> None:
    assert load("x86") == load("x86")


@on_x86
def test_a_users_host_file_keeps_its_memory(tmp_path: Path) -> None:
    path = tmp_path / "fast_memory.toml"
    text = (FOLDER / "x86.toml").read_text().replace('name = "x86"', 'name = "mine"')
    path.write_text(text.replace("bandwidth_gb_s = 20.0", "bandwidth_gb_s = 50.0"))
    target = load(path)
    assert (target.name, target.memory.bandwidth_gb_s) == ("mine", 50.0)
    path.write_text(text + "latency = 3\n")
    with pytest.raises(UserError, match=r"unknown field `latency` - at `memory`"):
        load(path)


def test_x86_is_no_target_on_an_arm_machine() -> None:
    file = msgspec.structs.replace(ARM_HOST, name="x86", triple="x86_64-linux-gnu")
    with pytest.raises(OtherArchitectureError, match=r"target x86 .*use target host here"):
        host_target(file, machine="aarch64")


def test_other_machines_need_a_file(tmp_path: Path) -> None:
    file = msgspec.structs.replace(ARM_HOST, triple="riscv64-linux-gnu")
    with pytest.raises(UserError, match="cannot describe a riscv64 machine"):
        host_target(file, machine="riscv64", root=tmp_path)


def _arm_machine(root: Path, parts: list[int], board: str) -> None:
    blocks = [
        f"processor\t: {i}\nFeatures\t: fp asimd crc32\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU part\t: 0x{part:x}\nCPU revision\t: 3\n"
        for i, part in enumerate(parts)
    ]
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text("\n".join(blocks) + f"\nModel\t\t: {board}\n")
    (root / "proc/device-tree/model").write_text(f"{board}\0")


def test_a_raspberry_pi_4_as_host(tmp_path: Path) -> None:
    _arm_machine(tmp_path, [0xD08] * 4, "Raspberry Pi 4 Model B Rev 1.1")
    target = host_target(ARM_HOST, machine="aarch64", root=tmp_path)
    assert (target.mcpu, target.fast.count, target.lanes) == ("cortex-a72", 4, 4)
    assert target.model == "arm-raspberry-pi-4-model-b-rev-1-1-cortex-a72"
    assert tvm.target.Target(target.tvm_target()).attrs["mcpu"] == "cortex-a72"


def test_big_and_little_as_host(tmp_path: Path) -> None:
    _arm_machine(tmp_path, [0xD03] * 4 + [0xD08] * 2, "Pine64 RockPro64 v2.1")
    target = host_target(ARM_HOST, machine="aarch64", root=tmp_path)
    assert [(core.cpu, core.count) for core in target.cores] == [
        ("cortex-a72", 2),
        ("cortex-a53", 4),
    ]


def test_an_unknown_arm_core_is_generic(tmp_path: Path) -> None:
    _arm_machine(tmp_path, [0xFFF], "")
    target = host_target(ARM_HOST, machine="aarch64", root=tmp_path)
    assert (target.mcpu, target.model) == ("generic", "arm-generic")


@pytest.mark.parametrize(
    ("name", "mcpu", "slug"),
    [
        ("Intel(R) Xeon(R) Processor @ 2.60GHz", "sapphirerapids", "x86-intel-xeon-sapphirerapids"),
        ("Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "skylake", "x86-intel-core-i7-9750h-skylake"),
        ("AMD EPYC 7763 64-Core Processor", "znver3", "x86-amd-epyc-7763-znver3"),
        ("", "x86-64", "x86-x86-64"),
        ("名前", "znver3", "x86-znver3"),
    ],
)
def test_model_slug(name: str, mcpu: str, slug: str) -> None:
    assert model_slug(name, mcpu, prefix="x86") == slug


def test_a_long_name_leaves_room_for_the_cpu() -> None:
    slug = model_slug("long " * 40, "sapphirerapids", prefix="x86")
    assert slug.endswith("-sapphirerapids")
    assert len(slug) <= 100
