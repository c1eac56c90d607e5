# SPDX-License-Identifier: Apache-2.0
"""The machine the tests run on, described and put to work; and ARM machines from their /proc."""

import platform
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tvm
from tvm import te
from tvm.target import codegen

from mnc.support.errors import UserError
from mnc.targets import Target, load, this_machine, topology
from mnc.targets.catalog import FOLDER
from mnc.targets.core_classes import quiet_cpu, timing_cpus
from mnc.targets.host import board_target, host_target
from mnc.targets.host_file import ARM_HOST, OtherArchitectureError
from mnc.targets.llvm import check_cpu
from mnc.targets.x86_cpus import BY_NAME
from tests.targets import machines
from tests.targets.machines import Cluster, Machine

ON_CPU_0 = {"proc/self/status": "Cpus_allowed_list:\t0"}  # as under `taskset -c 0`
QUOTA = "sys/fs/cgroup/cpu.max"
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
    with pytest.raises(UserError, match=r"host is a riscv64 machine.*name a target"):
        this_machine(machine="riscv64", root=tmp_path)


def described(machine: Machine, root: Path) -> Target:
    """The machine as detection sees it."""
    name = "aarch64" if machine.clusters[0].part else "x86_64"
    return this_machine(machine=name, root=machine.write(root))


# Machine: name, model, mcpu, (core, count, GHz) of each class, KiB of L3, the CPU to time on.
MACHINES = [
    (machines.RPI5, "rpi5", "bcm2712", "cortex-a76", [("cortex-a76", 4, 2.4)], 2048, 3),
    (
        machines.RK3588,
        *("rk3588", "rk3588", "cortex-a76"),
        *([("cortex-a76", 4, 2.4), ("cortex-a55", 4, 1.8)], 3072, 5),
    ),
    (
        machines.GRAVITON3,
        *("host", "arm-amazon-ec2-neoverse-v1", "neoverse-v1"),
        *([("neoverse-v1", 4, None)], 32768, 3),
    ),
    (
        machines.GRAVITON2,
        *("host", "arm-amazon-ec2-neoverse-n1", "neoverse-n1"),
        *([("neoverse-n1", 2, None)], 32768, 1),
    ),
    (
        machines.ALTRA,
        *("host", "arm-wiwynn-mt-jade-motherboard-neoverse-n1", "neoverse-n1"),
        *([("neoverse-n1", 80, 3.0)], None, 79),
    ),
    (
        machines.AMPERE_ONE,
        *("host", "arm-supermicro-ars-211m-nr-ampere1", "ampere1"),
        *([("ampere1", 8, 3.2)], None, 7),
    ),
    (
        machines.ASAHI,
        *("host", "arm-apple-macbook-air-m1-2020-apple-m1", "apple-a14"),
        *([("apple-m1", 4, 3.204), ("apple-m1", 4, 2.064)], None, 7),
    ),
    (
        machines.X_ELITE,
        *("host", "arm-lenovo-yoga-slim-7x-oryon-1", "apple-a15"),
        *([("oryon-1", 12, 4.012)], None, 11),
    ),
    (
        machines.SNAPDRAGON_855,
        *("host", "arm-xiaomi-mi-9-cortex-a76", "cortex-a76"),
        [("cortex-a76", 1, 2.841), ("cortex-a76", 3, 2.419), ("cortex-a55", 4, 1.785)],
        *(None, 7),
    ),
    (
        machines.SNAPDRAGON_8_GEN_2,
        *("host", "arm-qualcomm-technologies-inc-kalama-mtp-cortex-x3", "cortex-x3"),
        [
            ("cortex-x3", 1, 3.187),
            ("cortex-a715", 2, 2.803),
            ("cortex-a710", 2, 2.803),
            ("cortex-a510", 3, 2.016),
        ],
        *(None, 7),
    ),
    (
        machines.SNAPDRAGON_8_ELITE,
        *("host", "arm-samsung-galaxy-s25-oryon-2", "apple-a15"),
        *([("oryon-2", 2, 4.32), ("oryon-2", 6, 3.533)], None, 7),
    ),
    (
        machines.DIMENSITY_9500,
        *("host", "arm-vivo-x300-c1-ultra", "c1-ultra"),
        *([("c1-ultra", 1, 4.21), ("c1-premium", 3, 3.5), ("c1-pro", 4, 2.7)], None, 7),
    ),
    (
        machines.ALDER_LAKE,
        *("x86", "x86-12th-gen-intel-core-i9-alderlake", "alderlake"),
        *([("alderlake", 2, 5.2), ("gracemont", 4, 3.9)], 30720, 1),
    ),
]


@pytest.mark.parametrize(("machine", "name", "model", "mcpu", "cores", "l3", "cpu"), MACHINES)
def test_other_machines(
    machine: Machine,
    name: str,
    model: str,
    mcpu: str,
    cores: list[tuple[str, int, float | None]],
    l3: int | None,
    cpu: int,
    tmp_path: Path,
) -> None:
    target = described(machine, tmp_path)
    assert (target.name, target.model, target.mcpu) == (name, model, mcpu)
    assert [(core.cpu, core.count, core.clock_ghz) for core in target.cores] == cores
    assert [cache.size_kib for cache in target.caches] == ([] if l3 is None else [l3])
    assert quiet_cpu(tmp_path) == cpu
    check_cpu(target)
    assert tvm.target.Target(target.tvm_target()).attrs["mcpu"] == mcpu
    assert msgspec.json.decode(msgspec.json.encode(target), type=Target) == target


def test_sve_is_used_only_where_the_kernel_offers_it(tmp_path: Path) -> None:
    """Qualcomm's kernel has no SVE for the X3, and neither have virtual machines for a V1 with it hidden."""
    assert features(described(machines.GRAVITON3, tmp_path / "v1")) >= {"sve", "bf16", "i8mm"}
    phone = features(described(machines.SNAPDRAGON_8_GEN_2, tmp_path / "phone"))
    assert phone >= {"bf16", "i8mm", "dotprod"} and not phone & {"sve", "sve2"}
    hidden = replace(machines.GRAVITON3, features=machines.V82)
    plain = features(described(hidden, tmp_path / "hidden"))
    assert plain >= {"dotprod", "fullfp16"} and not plain & {"sve", "bf16", "i8mm", "sha3"}


def features(target: Target) -> set[str]:
    """What LLVM may use in code for it."""
    return {str(f) for f in codegen.llvm_get_cpu_features(tvm.target.Target(target.tvm_target()))}


@pytest.mark.parametrize(
    ("listed", "mcpu", "used"),
    [
        (machines.V80, "cortex-a72", set()),
        (machines.V82, "cortex-a76", {"dotprod", "fullfp16"}),
        (machines.ORYON, "cortex-a76", {"dotprod", "fullfp16", "bf16", "i8mm"}),
        (f"{machines.V1} sve2 frint", "cortex-a710", {"dotprod", "bf16", "i8mm", "sve", "sve2"}),
        ("", "generic", set()),
    ],
)
def test_an_unknown_part_is_known_by_what_the_kernel_lists(
    listed: str, mcpu: str, used: set[str], tmp_path: Path
) -> None:
    target = described(Machine((Cluster(2, 0xFFF, 0x99),), listed), tmp_path)
    assert (target.mcpu, target.model) == (mcpu, "arm-part-99-fff")
    assert features(target) >= used
    assert not (features(target) & {"dotprod", "bf16", "i8mm", "sve", "sve2"}) - used


def test_a_board_is_known_by_either_name_and_by_its_fast_cores(tmp_path: Path) -> None:
    nameless = replace(machines.RPI5, compatible=())
    assert described(nameless, tmp_path / "model").name == "rpi5"
    other = replace(machines.RPI5, model="Raspberry Pi 500 Rev 1.0")
    assert described(other, tmp_path / "compatible").name == "rpi5"
    kept = described(
        replace(machines.RK3588, files=ON_CPU_0),
        tmp_path / "kept",
    )
    assert (kept.name, kept.model) == ("host", "arm-radxa-rock-5b-cortex-a55")
    pi = described(
        replace(machines.RPI5, files=ON_CPU_0),
        tmp_path / "one",
    )
    assert (pi.name, pi.fast.count) == ("rpi5", 1)


def test_a_quota_of_half_a_core_leaves_one_fast_core(tmp_path: Path) -> None:
    target = described(replace(machines.ASAHI, files={QUOTA: "50000 100000"}), tmp_path)
    assert [(core.cpu, core.count, core.fma_units) for core in target.cores] == [("apple-m1", 1, 4)]
    three = described(replace(machines.SNAPDRAGON_8_GEN_2, files={QUOTA: "3 1"}), tmp_path / "b")
    assert [core.count for core in three.cores] == [1, 2]
    assert timing_cpus(2, tmp_path / "b") == set(range(8)) and timing_cpus(1, tmp_path / "b") == {7}


def test_classes_that_no_file_ranks_are_ranked_by_their_parts(tmp_path: Path) -> None:
    silent = Machine((Cluster(4, 0xD03), Cluster(2, 0xD08)), machines.V80, "Pine64 RockPro64 v2.1")
    target = described(silent, tmp_path)
    assert [(core.cpu, core.count) for core in target.cores] == [
        ("cortex-a72", 2),
        ("cortex-a53", 4),
    ]
    assert target.model == "arm-pine64-rockpro64-cortex-a72"
    assert timing_cpus(2, tmp_path) == {4, 5}


def test_nameless_machines_are_told_apart_by_caches_and_clock(tmp_path: Path) -> None:
    models = {
        described(replace(machine, dmi=None), tmp_path / str(number)).model
        for number, machine in enumerate((machines.GRAVITON2, machines.ALTRA))
    }
    assert models == {
        "arm-l2-1024k-l3-32768k-neoverse-n1",
        "arm-l2-1024k-3000mhz-neoverse-n1",
    }


def test_a_kernel_that_tells_nothing_is_a_machine_too(tmp_path: Path) -> None:
    target = this_machine(machine="aarch64", root=tmp_path)
    assert (target.model, target.mcpu, target.fast.count) == ("arm-generic", "generic", 1)


def test_a_part_with_two_clocks_is_two_classes_though_no_capacity_says_so(tmp_path: Path) -> None:
    clusters = tuple(replace(one, capacity=None) for one in machines.SNAPDRAGON_855.clusters)
    target = described(replace(machines.SNAPDRAGON_855, clusters=clusters), tmp_path)
    assert [(core.cpu, core.count) for core in target.cores] == [
        *[("cortex-a76", 1), ("cortex-a76", 3), ("cortex-a55", 4)]
    ]
    assert timing_cpus(1, tmp_path) == {7} and timing_cpus(2, tmp_path) == set(range(8))


def test_a_board_whose_clusters_have_two_clocks_keeps_all_its_cores(tmp_path: Path) -> None:
    little, big, slow = machines.RK3588.clusters
    clusters = (little, big, replace(slow, mhz=2016, capacity=878))
    replace(machines.RK3588, clusters=clusters).write(tmp_path)
    board = board_target([load("rk3588")], root=tmp_path)
    assert board is not None and [core.count for core in board.cores] == [4, 4]
