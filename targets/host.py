# SPDX-License-Identifier: Apache-2.0
"""What this Linux machine is, as a `Target`: x86-64 or 64-bit ARM, physical or virtual.

Reads /proc/cpuinfo, the cache folders of /sys and the process's CPU limits. Clocks are left out:
virtual machines report any number. Memory figures come from targets/x86.toml.
"""

import functools
import platform
import re
from typing import Literal

import msgspec

from support.errors import UserError
from targets import topology
from targets.arm_cpus import ARM_CPUS
from targets.target import Cache, CoreClass, Memory, Slug, Target, Triple, Version
from targets.x86_cpus import BY_NAME, cpu_name

MARKER = "host"
MEMORY = Memory(bandwidth_gb_s=20.0, core_bandwidth_gb_s=12.0, latency_ns=100.0)  # estimates
GLIBC = "2.28"  # the oldest of the runtime's wheels


class OtherArchitectureError(UserError):
    """The target stands for the machine it is loaded on, and this one has another architecture."""


class HostFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML with `mcpu = "host"`: what the machine cannot tell of itself."""

    name: Slug
    description: str
    triple: Triple
    mcpu: Literal["host"]
    glibc: Version | None = None
    memory: Memory


def host_target(file: HostFile | None = None) -> Target:
    """This machine. `file` gives the name, description and memory; its architecture must match.

    Raises OtherArchitectureError (a UserError) otherwise, and UserError on an unsupported machine.
    """
    machine = platform.machine()
    if file is None:
        name = "x86" if machine == "x86_64" else "host"
        file = HostFile(
            name=name,
            description=f"the {machine} CPU of this machine",
            triple=f"{machine}-linux-gnu",
            mcpu="host",
            glibc=GLIBC,
            memory=MEMORY,
        )
    if file.triple.split("-")[0] != machine:
        raise OtherArchitectureError(
            f"target {file.name} is the CPU of the machine it is built on, an "
            f"{file.triple.split('-')[0]}, and this one is {machine}; use target host here"
        )
    if machine == "x86_64":
        return _x86_target(file, topology.cpuinfo()[0])
    if machine == "aarch64":
        return _arm_target(file)
    raise UserError(f"cannot describe a {machine} machine; write a target file for it")


def _x86_target(file: HostFile, info: dict[str, str]) -> Target:
    flags = frozenset(info.get("flags", "").split())
    vendor = info.get("vendor_id", "")
    cpu = BY_NAME[cpu_name(flags, vendor, llvm_cpu_name())]
    caches = topology.caches(topology.usable_cpus()[0], virtual="hypervisor" in flags)
    l1, l2, l3 = (caches.get(level) for level in (1, 2, 3))
    core = CoreClass(
        name="all",
        cpu=cpu.name,
        count=topology.usable_cores(),
        vector_bits=cpu.vector_bits,
        vector_registers=cpu.vector_registers,
        fma_units=cpu.fma_units,
        in_order=False,
        misses_in_flight=cpu.misses_in_flight,
        prefetch_streams=16,  # estimate; Intel's L2 streamer alone follows 32
        l1d=_cache(l1 or topology.SysCache(32, 64, 8, 1), *cpu.l1),
        l2=_cache(l2, *cpu.l2) if l2 else None,
    )
    return Target(
        name=file.name,
        description=f"{file.description}: {info.get('model name', 'x86-64').strip()}"[:200],
        triple=file.triple,
        mcpu=cpu.name,
        model=model_slug(info.get("model name", "") or vendor, cpu.name),
        glibc=file.glibc,
        cores=(core,),
        # Latency and width of a last-level cache: estimates between mesh and ring parts.
        caches=(_cache(l3, 60, 12),) if l3 else (),
        memory=file.memory,
    )


def _arm_target(file: HostFile) -> Target:
    classes = [
        _arm_class(part, cpus) for part, cpus in topology.cpus_by_part(topology.cpuinfo()).items()
    ]
    classes.sort(key=lambda core: (core.fma_units, not core.in_order), reverse=True)
    fast = classes[0]
    return Target(
        name=file.name,
        description=file.description,
        triple=file.triple,
        mcpu=fast.cpu,
        mattr=("+neon",),
        model=model_slug(topology.board_name(), fast.cpu, prefix="arm"),
        glibc=file.glibc,
        cores=tuple(classes),
        memory=file.memory,
    )


def _arm_class(part: tuple[int, int], cpus: list[int]) -> CoreClass:
    cpu = ARM_CPUS.get(part, ARM_CPUS[None])
    caches = topology.caches(cpus[0], virtual=False)
    return CoreClass(
        name=f"{cpu.name}-{cpus[0]}",
        cpu=cpu.name,
        count=len(cpus),
        vector_bits=128,
        vector_registers=32,
        fma_units=cpu.fma_units,
        in_order=cpu.in_order,
        misses_in_flight=cpu.misses_in_flight,
        prefetch_streams=8,  # estimate
        l1d=_cache(caches.get(1, topology.SysCache(32, 64, 4, 1)), 4, 16),
        l2=_cache(caches[2], 15, 16) if 2 in caches else None,
    )


def _cache(found: topology.SysCache, latency: float, bandwidth: float) -> Cache:
    return Cache(
        size_kib=found.size_kib,
        line_bytes=found.line_bytes,
        associativity=found.associativity,
        latency_cycles=latency,
        bandwidth_bytes_per_cycle=bandwidth,
        shared_by=found.shared_by,
    )


def model_slug(marketing_name: str, mcpu: str, *, prefix: str = "x86") -> str:
    """The `-model` of this kind of CPU, the same after every boot.

    "Intel(R) Xeon(R) Processor @ 2.60GHz", "sapphirerapids" -> "x86-intel-xeon-sapphirerapids".
    """
    words = re.sub(
        r"\((r|tm|c)\)|@.*|\b\d+-core\b|\b(cpu|processor)\b", " ", marketing_name.lower()
    )
    slug = "-".join([prefix, *re.findall(r"[a-z0-9.]+", words), mcpu])
    return slug[:100]


@functools.cache
def llvm_cpu_name() -> str | None:
    """LLVM's reading of this CPU, None where TVM or its compiler is missing. Imports tvm."""
    try:
        import tvm
    except (ImportError, OSError):
        return None
    ask = tvm.get_global_func("target.llvm_get_system_cpu", allow_missing=True)
    return None if ask is None else str(ask())
