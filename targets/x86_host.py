# SPDX-License-Identifier: Apache-2.0
"""This x86-64 machine as a `Target`, from its flags, caches and classes of cores."""

from pathlib import Path

from mnc.targets import llvm, topology
from mnc.targets.caches import SysCache, caches
from mnc.targets.core_classes import UsableClass, usable_classes
from mnc.targets.device_name import model_slug
from mnc.targets.host_file import HostFile
from mnc.targets.target import CoreClass, Target
from mnc.targets.x86_cpus import BY_NAME, INTEL, X86Cpu, cpu_name, small_core

# What x86 parts have at least; used where /sys does not tell (some containers).
SMALLEST_L1 = SysCache(size_kib=32, line_bytes=64, associativity=8, shared_by=1)


def describe(file: HostFile, root: Path) -> Target:
    """The machine whose /proc and /sys are under `root`."""
    classes = usable_classes(root)
    info = topology.by_cpu(root).get(classes[0].cpus[0], {})
    flags = frozenset(info.get("flags", "").split())
    vendor, name = info.get("vendor_id", ""), info.get("model name", "")
    cpu = BY_NAME[cpu_name(flags, vendor, llvm.host_cpu_name())]
    virtual = "hypervisor" in flags
    cores = tuple(_core_class(cpu, one, root, virtual=virtual) for one in classes)
    last = caches(classes[0].cpus[0], root, virtual=virtual).get(3)
    return Target(
        name=file.name,
        description=f"{file.description}: {name.strip() or 'unnamed'}"[:200],
        triple=file.triple,
        mcpu=cores[0].cpu,
        model=model_slug(name or vendor, cores[0].cpu, prefix="x86"),
        glibc=file.glibc,
        cores=cores,
        caches=() if last is None else (last.described(*cpu.l3),),
        memory=file.memory,
    )


def _core_class(big: X86Cpu, found: UsableClass, root: Path, *, virtual: bool) -> CoreClass:
    cpu = big if found.kind in ("", "cpu_core") else small_core(big)
    known = caches(found.cpus[0], root, virtual=virtual)
    return CoreClass(
        name=found.kind.replace("_", "-") or "all",
        cpu=cpu.name,
        count=found.cores,
        clock_ghz=found.clock_ghz,
        vector_bits=cpu.vector_bits,
        vector_registers=cpu.vector_registers,
        fma_units=cpu.fma_units,
        in_order=False,
        misses_in_flight=cpu.misses_in_flight,
        prefetch_streams=32,  # of Intel's L2 streamer (Optimization Reference Manual); an estimate of others
        l1d=known.get(1, SMALLEST_L1).described(
            *cpu.l1,
            replacement="trees" if cpu.vendor == INTEL else "longest-ago",
        ),
        l2=known[2].described(*cpu.l2) if 2 in known else None,
    )
