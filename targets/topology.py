# SPDX-License-Identifier: Apache-2.0
"""The kernel's account of this machine's processors: /proc/cpuinfo, physical cores, what of them we may use.

`root` is where another machine's files are; what a process may use is then in its proc/self.
"""

import os
from pathlib import Path

from mnc.targets.kernel_files import ROOT, cpu_list, integer, text


def cpuinfo(root: Path = ROOT) -> list[dict[str, str]]:
    """One dictionary a processor, keys as the kernel writes them. At least one, perhaps empty."""
    processors: list[dict[str, str]] = []
    for block in text(root / "proc/cpuinfo").split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines() if ":" in line)
        entry = {key.strip(): value.strip() for key, _, value in pairs}
        if "processor" in entry:
            processors.append(entry)
    return processors or [{}]


def by_cpu(root: Path = ROOT) -> dict[int, dict[str, str]]:
    """`cpuinfo` by the number of the logical CPU: those that are online."""
    return {integer(entry.get("processor", "")): entry for entry in cpuinfo(root)}


def usable_cpus(root: Path = ROOT) -> list[int]:
    """The logical CPUs this process may run on, sorted."""
    if root == ROOT:
        return sorted(os.sched_getaffinity(0))
    for line in text(root / "proc/self/status").splitlines():
        name, _, value = line.partition(":")
        if name == "Cpus_allowed_list":
            return sorted(set(cpu_list(value)) & by_cpu(root).keys()) or [0]
    return sorted(by_cpu(root))


def usable_cores(root: Path = ROOT, cpus: list[int] | None = None) -> int:
    """Physical cores this process can keep busy: affinity, no hyper-threads, cgroup quota."""
    found = len(cores(usable_cpus(root) if cpus is None else cpus, root))
    return min(found, paid_cores(root) or found)


def paid_cores(root: Path = ROOT) -> int | None:
    """Whole cores that the control groups' quota pays for, at least one; None for no limit."""
    quota = cpu_quota(root)
    # Rounded down: a thread more than the quota pays for is a thread that gets throttled.
    return None if quota is None else max(1, int(quota))


def processes(at_most: int | None = None, root: Path = ROOT) -> int:
    """How many working processes keep the usable CPUs busy: hyper-threads count, a quota's rest does not."""
    limits = (len(usable_cpus(root)), paid_cores(root), at_most)
    return min(limit for limit in limits if limit is not None)


def cpu_quota(root: Path = ROOT) -> float | None:
    """CPUs' worth of time the control groups allow, None for no limit. Versions 1 and 2."""
    quotas = []
    groups = text(root / "proc/self/cgroup") or "0::/\n1:cpu:/"  # a container may hide its own
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup"
        places = [mount / "cpu", mount / "cpu,cpuacct"] if controllers else [mount]
        quotas += [_quota_of(folder) for place in places for folder in _up(place, name)]
    limits = [quota for quota in quotas if quota is not None]
    return min(limits, default=None)


def cores(cpus: list[int], root: Path = ROOT) -> set[object]:
    """What tells the physical cores of these logical CPUs apart, one for each core."""
    return {_core_of(root, cpu) for cpu in cpus}


def _core_of(root: Path, cpu: int) -> object:
    """Its hyper-threads, where the kernel lists them: a core's number may begin anew in each cluster."""
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
    for name in ("core_cpus_list", "thread_siblings_list"):
        siblings = cpu_list(text(folder / name))
        if cpu in siblings:
            return min(siblings)
    core = text(folder / "core_id").strip()
    groups = (integer(text(folder / name)) for name in ("physical_package_id", "cluster_id"))
    return (*groups, core or f"cpu{cpu}")


def _up(mount: Path, name: str) -> list[Path]:
    """The group's folder and those of its parents; inside a container only the mount may exist."""
    inner = Path(name.strip("/"))
    return [mount, *(mount / part for part in (inner, *inner.parents) if part != Path())]


def _quota_of(folder: Path) -> float | None:
    quota, _, period = text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (text(folder / f"cpu.cfs_{n}_us").strip() for n in ("quota", "period"))
    if not (quota.isdecimal() and period.isdecimal() and int(period) and int(quota)):
        return None
    return int(quota) / int(period)
