# SPDX-License-Identifier: Apache-2.0
"""This 64-bit ARM machine as a `Target`, from its part numbers, features, caches and classes of cores."""

from pathlib import Path

from mnc.targets import topology
from mnc.targets.arm_cpus import ARM_CPUS, GENERIC, ArmCpu, nearest
from mnc.targets.arm_features import attributes, offered
from mnc.targets.caches import SysCache, caches
from mnc.targets.core_classes import UsableClass, usable_classes
from mnc.targets.device_name import device_name, model_slug
from mnc.targets.host_file import HostFile
from mnc.targets.kernel_files import ROOT
from mnc.targets.target import CoreClass, Target


def describe(file: HostFile, root: Path = ROOT) -> Target:
    """The machine whose /proc and /sys are under `root`."""
    processors, classes = topology.cpuinfo(root), usable_classes(root)
    cpus = [_cpu(one, processors) for one in classes]
    cores = tuple(_core_class(*pair, root) for pair in zip(cpus, classes, strict=True))
    last = caches(classes[0].cpus[0], root, virtual=False).get(3)
    name = device_name(root)
    return Target(
        name=file.name,
        description=f"{file.description}: {name}"[:200]
        if name.isprintable() and name
        else file.description,
        triple=file.triple,
        mcpu=cpus[0].mcpu,
        mattr=attributes(cpus[0], offered(processors, cpus[0])),
        model=model_slug(
            name or _build(cores[0], last), _core_name(classes[0], cpus[0]), prefix="arm"
        ),
        glibc=file.glibc,
        cores=cores,
        caches=() if last is None else (last.described(40, 8),),  # estimates
        memory=file.memory,
    )


def _cpu(found: UsableClass, processors: list[dict[str, str]]) -> ArmCpu:
    """What is known of the part, else the core that what the kernel lists suits."""
    if found.part in ARM_CPUS:
        return ARM_CPUS[found.part]
    listed = any(entry.get("Features") for entry in processors)
    return nearest(offered(processors, GENERIC)) if listed else GENERIC


def _core_name(found: UsableClass, cpu: ArmCpu) -> str:
    """A core's name in the `-model`: two unknown parts are not one CPU because they are alike."""
    if found.part is None or found.part in ARM_CPUS:
        return cpu.name
    return f"part-{found.part[0]:02x}-{found.part[1]:03x}"


def _build(core: CoreClass, last: SysCache | None) -> str:
    """What tells nameless machines with the same cores apart: caches and clock."""
    clock = [] if core.clock_ghz is None else [f"{core.clock_ghz * 1000:.0f}mhz"]
    l2 = [] if core.l2 is None else [f"l2-{core.l2.size_kib}k"]
    l3 = [] if last is None else [f"l3-{last.size_kib}k"]
    return " ".join([*l2, *l3, *clock])


def _core_class(cpu: ArmCpu, found: UsableClass, root: Path) -> CoreClass:
    first = found.cpus[0]
    known = caches(first, root, virtual=False)
    smallest = SysCache(size_kib=cpu.l1_kib, line_bytes=64, associativity=4, shared_by=1)
    wide = cpu.fma_units >= 2
    return CoreClass(
        name=f"{cpu.name}-{first}",
        cpu=cpu.name,
        count=found.cores,
        clock_ghz=found.clock_ghz,
        vector_bits=128,
        vector_registers=32,
        fma_units=cpu.fma_units,
        in_order=cpu.in_order,
        misses_in_flight=cpu.misses_in_flight,
        prefetch_streams=4
        if cpu.in_order
        else 16
        if wide
        else 8,  # estimates, as the caches' figures
        l1d=known.get(1, smallest).described(4, 8 if cpu.in_order else 32 if wide else 16),
        l2=known[2].described(20, 16 if wide else 8) if 2 in known else None,
    )
