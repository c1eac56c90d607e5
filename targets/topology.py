# SPDX-License-Identifier: Apache-2.0
"""The kernel's account of this machine: /proc/cpuinfo, caches in /sys, the cores we may use.

Every reader takes the root folder, so that another machine's files can be read the same way.
"""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
# A virtual machine reports the socket's whole last-level cache, of which its cores get a share.
# No server part has more than 5 MiB of it for each core (Xeon 6972P: 480 MiB, 96 cores).
VIRTUAL_L3_KIB_PER_CORE = 5 * 1024


@dataclass(frozen=True)
class SysCache:
    """A data or unified cache; `shared_by` counts physical cores."""

    size_kib: int
    line_bytes: int
    associativity: int
    shared_by: int


def cpuinfo(root: Path = ROOT) -> list[dict[str, str]]:
    """One dictionary a processor, keys as the kernel writes them. At least one, perhaps empty."""
    processors: list[dict[str, str]] = []
    for block in _text(root / "proc/cpuinfo").split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines() if ":" in line)
        entry = {key.strip(): value.strip() for key, _, value in pairs}
        if "processor" in entry:
            processors.append(entry)
    return processors or [{}]


def cpus_by_part(processors: list[dict[str, str]]) -> dict[tuple[int, int], list[int]]:
    """ARM processors grouped by (implementer, part), in the order met."""
    groups: dict[tuple[int, int], list[int]] = {}
    for number, entry in enumerate(processors):
        part = (_integer(entry.get("CPU implementer", "")), _integer(entry.get("CPU part", "")))
        groups.setdefault(part, []).append(number)
    return groups


def board_name(root: Path = ROOT) -> str:
    """The device tree's name of the board ("Raspberry Pi 4 Model B Rev 1.4"), or ""."""
    return _text(root / "proc/device-tree/model").strip("\0\n ")


def usable_cpus() -> list[int]:
    """The logical CPUs this process may run on, sorted."""
    return sorted(os.sched_getaffinity(0))


def usable_cores(root: Path = ROOT, cpus: list[int] | None = None) -> int:
    """Physical cores this process can keep busy: affinity, no hyper-threads, cgroup quota."""
    cores = {_core_of(root, cpu) for cpu in (usable_cpus() if cpus is None else cpus)}
    quota = cpu_quota(root)
    # Rounded down: a thread more than the quota pays for is a thread that gets throttled.
    return max(1, len(cores) if quota is None else min(len(cores), int(quota)))


def cpu_quota(root: Path = ROOT) -> float | None:
    """CPUs' worth of time the control groups allow, None for no limit. Versions 1 and 2."""
    quotas = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        quotas += [_quota_of(folder) for folder in _up(mount, name)]
    limits = [quota for quota in quotas if quota is not None]
    return min(limits, default=None)


def caches(cpu: int, root: Path = ROOT, *, virtual: bool) -> dict[int, SysCache]:
    """Level -> data or unified cache of a logical CPU; empty where /sys does not tell."""
    found = {}
    for folder in (root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"):
        if _text(folder / "type").strip() not in ("Data", "Unified"):
            continue
        level, cache = _integer(_text(folder / "level")), _read_cache(root, folder)
        if cache is not None:
            found[level] = _share(cache) if virtual and level >= 3 else cache
    return found


def _read_cache(root: Path, folder: Path) -> SysCache | None:
    size = _text(folder / "size").strip().upper()
    kib = _integer(size.rstrip("KM")) * (1024 if size.endswith("M") else 1)
    line, ways = (
        _integer(_text(folder / n)) for n in ("coherency_line_size", "ways_of_associativity")
    )
    if kib <= 0 or line <= 0:
        return None
    cpus = _cpu_list(_text(folder / "shared_cpu_list"))
    # 0 ways is the kernel's word for fully associative or unknown.
    return SysCache(kib, line, ways or 16, max(1, len({_core_of(root, cpu) for cpu in cpus})))


def _share(cache: SysCache) -> SysCache:
    limit = VIRTUAL_L3_KIB_PER_CORE * cache.shared_by
    return SysCache(
        min(cache.size_kib, limit), cache.line_bytes, cache.associativity, cache.shared_by
    )


def _core_of(root: Path, cpu: int) -> tuple[int, str]:
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
    core = _text(folder / "core_id").strip()
    return (_integer(_text(folder / "physical_package_id")), core or f"cpu{cpu}")


def _cpu_list(text: str) -> list[int]:
    """ "0-3,8" -> [0, 1, 2, 3, 8]."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            cpus += range(int(first), int(last or first) + 1)
    return cpus


def _up(mount: Path, name: str) -> list[Path]:
    """The group's folder and those of its parents; inside a container only the mount may exist."""
    inner = Path(name.strip("/"))
    return [mount, *(mount / part for part in (inner, *inner.parents) if part != Path())]


def _quota_of(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (_text(folder / f"cpu.cfs_{n}_us").strip() for n in ("quota", "period"))
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return int(quota) / int(period)


def _integer(text: str) -> int:
    try:
        return int(text.strip(), 0)
    except ValueError:
        return 0


def _text(path: Path) -> str:
    """The file's text, "" when it cannot be read: /sys differs from kernel to kernel."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
