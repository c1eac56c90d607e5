# SPDX-License-Identifier: Apache-2.0
"""The classes of cores that this process may use: fast ones and slow ones, the fastest class first.

Takes the kernel's files; gives `UsableClass`es. ARM cores of one part number and about one speed are a class
(a Snapdragon's prime core is often a gold one with a higher clock), and x86 cores of one kind by the kernel's
performance counters. What is faster is by the kernel's `cpu_capacity`, then by the clock, then by what is
known of the part.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mnc.targets import topology
from mnc.targets.arm_cpus import Part, cpu_of
from mnc.targets.kernel_files import ROOT, cpu_list, integer, text

X86_KINDS = (
    "cpu_core",
    "cpu_atom",
    "cpu_lowpower",
)  # perf's names for the cores of Intel's hybrids
CPUS = "sys/devices/system/cpu"
# Of one part, what is slower than this share of the fastest is another class; clusters of one design may have
# clocks some percent apart, each sold for what it can do.
ALIKE = 0.9


@dataclass(frozen=True)
class UsableClass:
    """Cores of one kind. `cpus` are its logical CPUs that may be used, the fastest first; `cores` is how many
    of its cores can be kept busy (hyper-threads and quota taken off). `part` is an ARM core's (implementer,
    part), `kind` one of X86_KINDS on a hybrid. `capacity` and `clock_ghz` are None where no file tells them.
    """

    cpus: tuple[int, ...]
    cores: int
    part: Part | None
    kind: str
    capacity: int | None
    clock_ghz: float | None


def usable_classes(root: Path = ROOT) -> tuple[UsableClass, ...]:
    """The classes, the fastest first; at least one, each with at least one core. A quota of the control
    groups pays for fast cores first.
    """
    usable, kinds, known = topology.usable_cpus(root), _kinds(root), topology.by_cpu(root)
    groups: dict[tuple[Part | None, str], list[int]] = {}
    for cpu in usable:
        groups.setdefault((_part(known.get(cpu, {})), kinds.get(cpu, "")), []).append(cpu)
    made = [
        _class(part, kind, alike, root)
        for (part, kind), cpus in groups.items()
        for alike in ([cpus] if part is None else _of_one_speed(cpus, root))
    ]
    made.sort(key=_speed, reverse=True)
    return tuple(_paid(made, topology.paid_cores(root)))


def fast_class(root: Path = ROOT) -> UsableClass:
    """The class that code is made for, kernels are timed on and networks run on."""
    return usable_classes(root)[0]


def quiet_cpu(root: Path = ROOT) -> int:
    """The CPU to time on: of the fast class's fastest the last, for the first ones serve interrupts."""
    cpus = fast_class(root).cpus
    best = _cpu_speed(cpus[0], root)
    return max(cpu for cpu in cpus if _cpu_speed(cpu, root) == best)


def timing_cpus(threads: int, root: Path = ROOT) -> frozenset[int]:
    """Where kernels on `threads` are timed: a single one keeps to one CPU, more to the fast class where they
    fit, and spread there as they will in the network.
    """
    if threads == 1:
        return frozenset([quiet_cpu(root)])
    fast = fast_class(root)
    return frozenset(fast.cpus if threads <= fast.cores else topology.usable_cpus(root))


def _of_one_speed(cpus: list[int], root: Path) -> list[list[int]]:
    """The cores of one part, parted where they are not ALIKE by the first figure that the kernel tells."""
    speeds = {cpu: next(filter(None, _cpu_speed(cpu, root)), 0) for cpu in cpus}
    parted: list[list[int]] = []
    for cpu in sorted(cpus, key=lambda cpu: -speeds[cpu]):
        if not parted or speeds[cpu] < ALIKE * speeds[parted[-1][0]]:
            parted.append([])
        parted[-1].append(cpu)
    return parted


def _class(part: Part | None, kind: str, cpus: list[int], root: Path) -> UsableClass:
    cpus = sorted(cpus, key=lambda cpu: _cpu_speed(cpu, root), reverse=True)
    capacities, clocks = zip(*(_cpu_speed(cpu, root) for cpu in cpus), strict=True)
    count = len(topology.cores(cpus, root))
    return UsableClass(tuple(cpus), count, part, kind, max(capacities) or None, max(clocks) or None)


def _cpu_speed(cpu: int, root: Path) -> tuple[int, float]:
    """(capacity, clock in GHz) of a logical CPU, 0 for what is not told."""
    folder = root / CPUS / f"cpu{cpu}"
    khz = integer(text(folder / "cpufreq/cpuinfo_max_freq"))
    clock = round(khz / 1e6, 3) if 0 < khz < 2e7 else 0.0
    return integer(text(folder / "cpu_capacity")), clock


def _speed(of: UsableClass) -> tuple[float, ...]:
    core = cpu_of(of.part)
    rank = -X86_KINDS.index(of.kind) if of.kind else 0
    known = (core.fma_units, not core.in_order, core.misses_in_flight)
    return (of.capacity or 0, of.clock_ghz or 0, rank, *known)


def _paid(classes: list[UsableClass], paid: int | None) -> list[UsableClass]:
    if paid is None:
        return classes
    kept = []
    for one in classes:
        if paid > 0:
            kept.append(replace(one, cores=min(one.cores, paid)))
        paid -= one.cores
    return kept


def _kinds(root: Path) -> dict[int, str]:
    """The kind of each logical CPU of an x86 hybrid; nothing elsewhere."""
    found = {
        cpu: kind for kind in X86_KINDS for cpu in cpu_list(text(root / f"sys/devices/{kind}/cpus"))
    }
    return found if len(set(found.values())) > 1 else {}


def _part(entry: dict[str, str]) -> Part | None:
    if "CPU part" not in entry:
        return None
    return integer(entry.get("CPU implementer", "")), integer(entry["CPU part"])
