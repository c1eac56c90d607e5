# SPDX-License-Identifier: Apache-2.0
"""What this Linux machine is, as a `Target`: x86-64 or 64-bit ARM, physical or virtual.

Reads /proc/cpuinfo, the cache folders of /sys and the process's CPU limits. Clocks are left out:
virtual machines report any number. What the machine cannot tell comes from a `HostFile`.
"""

import platform
import re
from pathlib import Path
from typing import Literal

import msgspec

from mnc.support.errors import UserError
from mnc.targets import llvm, topology
from mnc.targets.arm_cpus import ARM_CPUS
from mnc.targets.target import (
    Cache,
    CoreClass,
    Description,
    Memory,
    Replacement,
    Slug,
    Target,
    Triple,
    Version,
)
from mnc.targets.x86_cpus import BY_NAME, INTEL, cpu_name

MARKER = "host"
# What x86 parts have at least; used where /sys does not tell (some containers).
SMALLEST_L1 = topology.SysCache(size_kib=32, line_bytes=64, associativity=8, shared_by=1)


class OtherArchitectureError(UserError):
    """The target stands for the machine it is loaded on, and this one cannot be described by it."""


class HostFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML with `mcpu = "host"`: the name of the target and what the machine cannot tell."""

    name: Slug
    description: Description
    triple: Triple
    mcpu: Literal["host"]
    glibc: Version | None = None
    memory: Memory


# An aarch64 machine that has no file of its own; memory figures are estimates.
ARM_HOST = HostFile(
    name="host",
    description="the 64-bit ARM CPU of this machine",
    triple="aarch64-linux-gnu",
    mcpu="host",
    glibc="2.28",
    memory=Memory(bandwidth_gb_s=8.0, core_bandwidth_gb_s=5.0, latency_ns=140.0),
)


def host_target(
    file: HostFile, *, machine: str | None = None, root: Path = topology.ROOT
) -> Target:
    """This machine, named and completed by `file`, whose architecture must match `machine`'s.

    `machine` and `root` describe another one (its `uname -m`, and copies of its /proc and /sys).
    Raises OtherArchitectureError (a UserError) on a mismatch.
    """
    machine = machine or platform.machine()
    wanted = file.triple.split("-")[0]
    if wanted != machine:
        raise OtherArchitectureError(
            f"target {file.name} is the {wanted} CPU of the machine it is built on, and this one "
            f"is {machine}; use target host here"
        )
    if machine == "x86_64":
        return _x86_target(file, root)
    if machine == "aarch64":
        return _arm_target(file, root)
    raise OtherArchitectureError(f"cannot describe a {machine} machine; write a target file for it")


def _x86_target(file: HostFile, root: Path) -> Target:
    info = topology.cpuinfo(root)[0]
    flags = frozenset(info.get("flags", "").split())
    vendor = info.get("vendor_id", "")
    cpu = BY_NAME[cpu_name(flags, vendor, llvm.host_cpu_name())]
    cpus = topology.usable_cpus()
    caches = topology.caches(cpus[0], root, virtual="hypervisor" in flags)
    core = CoreClass(
        name="all",
        cpu=cpu.name,
        count=topology.usable_cores(root, cpus),
        vector_bits=cpu.vector_bits,
        vector_registers=cpu.vector_registers,
        fma_units=cpu.fma_units,
        in_order=False,
        misses_in_flight=cpu.misses_in_flight,
        prefetch_streams=32,  # of Intel's L2 streamer (Optimization Reference Manual); an estimate of others
        l1d=_cache(
            caches.get(1, SMALLEST_L1),
            *cpu.l1,
            replacement="trees" if cpu.vendor == INTEL else "longest-ago",
        ),
        l2=_cache(caches[2], *cpu.l2) if 2 in caches else None,
    )
    return Target(
        name=file.name,
        description=f"{file.description}: {info.get('model name', 'unnamed').strip()}"[:200],
        triple=file.triple,
        mcpu=cpu.name,
        model=model_slug(info.get("model name", "") or vendor, cpu.name, prefix="x86"),
        glibc=file.glibc,
        cores=(core,),
        caches=(_cache(caches[3], *cpu.l3),) if 3 in caches else (),
        memory=file.memory,
    )


def _arm_target(file: HostFile, root: Path) -> Target:
    parts = topology.cpus_by_part(topology.cpuinfo(root))
    classes = [_arm_class(part, cpus, root) for part, cpus in parts.items()]
    classes.sort(key=lambda core: (core.fma_units, not core.in_order), reverse=True)
    fast = classes[0]
    return Target(
        name=file.name,
        description=file.description,
        triple=file.triple,
        mcpu=fast.cpu,
        mattr=("+neon",),
        model=model_slug(topology.board_name(root), fast.cpu, prefix="arm"),
        glibc=file.glibc,
        cores=tuple(classes),
        memory=file.memory,
    )


def _arm_class(part: tuple[int, int], cpus: list[int], root: Path) -> CoreClass:
    cpu = ARM_CPUS.get(part, ARM_CPUS[None])
    caches = topology.caches(cpus[0], root, virtual=False)
    return CoreClass(
        name=f"{cpu.name}-{cpus[0]}",
        cpu=cpu.name,
        count=len(cpus),
        vector_bits=128,
        vector_registers=32,
        fma_units=cpu.fma_units,
        in_order=cpu.in_order,
        misses_in_flight=cpu.misses_in_flight,
        prefetch_streams=4 if cpu.in_order else 8,  # estimates
        l1d=_cache(caches.get(1, SMALLEST_L1), 4, 8 if cpu.in_order else 16),
        l2=_cache(caches[2], 20, 8) if 2 in caches else None,  # estimates
    )


def _cache(
    found: topology.SysCache,
    latency: float,
    bandwidth: float,
    *,
    replacement: Replacement = "longest-ago",
) -> Cache:
    return Cache(
        size_kib=found.size_kib,
        line_bytes=found.line_bytes,
        associativity=found.associativity,
        latency_cycles=latency,
        bandwidth_bytes_per_cycle=bandwidth,
        shared_by=found.shared_by,
        replacement=replacement,
    )


def model_slug(marketing_name: str, mcpu: str, *, prefix: str) -> str:
    """The `-model` of this kind of CPU, the same after every boot, at most 100 characters.

    ("Intel(R) Xeon(R) Processor @ 2.60GHz", "sapphirerapids", prefix="x86") gives
    "x86-intel-xeon-sapphirerapids".
    """
    noise = r"\((r|tm|c)\)|@.*|\b\d+-core\b|\b(cpu|processor)\b"
    words = re.findall(r"[a-z0-9]+", re.sub(noise, " ", marketing_name.lower()))
    return "-".join([prefix, *"-".join(words)[:60].split("-"), mcpu]).replace("--", "-")
