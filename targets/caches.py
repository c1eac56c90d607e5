# SPDX-License-Identifier: Apache-2.0
"""The caches of a processor, as the kernel describes them in /sys.

Takes the number of a logical CPU; gives a `SysCache` a level, or nothing where /sys does not tell.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mnc.targets import topology
from mnc.targets.kernel_files import ROOT, cpu_list, integer, text
from mnc.targets.target import Cache, Replacement

# A virtual machine reports the socket's whole last-level cache, of which its cores get a share.
# No server part has more than 5 MiB of it for each core (Xeon 6972P: 480 MiB, 96 cores).
VIRTUAL_L3_KIB_PER_CORE = 5 * 1024
UNKNOWN_WAYS = 16


@dataclass(frozen=True)
class SysCache:
    """A data or unified cache; `shared_by` counts physical cores."""

    size_kib: int
    line_bytes: int
    associativity: int
    shared_by: int

    def described(
        self, latency: float, bandwidth: float, *, replacement: Replacement = "longest-ago"
    ) -> Cache:
        """With what the kernel does not say: cycles to use, bytes a cycle, and which line goes."""
        return Cache(
            size_kib=self.size_kib,
            line_bytes=self.line_bytes,
            associativity=self.associativity,
            latency_cycles=latency,
            bandwidth_bytes_per_cycle=bandwidth,
            shared_by=self.shared_by,
            replacement=replacement,
        )


def caches(cpu: int, root: Path = ROOT, *, virtual: bool) -> dict[int, SysCache]:
    """Level -> data or unified cache of a logical CPU; empty where /sys does not tell."""
    found = {}
    for folder in (root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"):
        if text(folder / "type").strip() not in ("Data", "Unified"):
            continue
        level, cache = integer(text(folder / "level")), _read(root, folder)
        if cache is not None:
            found[level] = _share(cache) if virtual and level >= 3 else cache
    return found


def _read(root: Path, folder: Path) -> SysCache | None:
    """None for what no cache can be."""
    size = text(folder / "size").strip().upper()
    kib = integer(size.rstrip("KM")) * (1024 if size.endswith("M") else 1)
    line = integer(text(folder / "coherency_line_size"))
    # 0 ways is the kernel's word for fully associative or unknown.
    ways = integer(text(folder / "ways_of_associativity")) or UNKNOWN_WAYS
    if not 0 < line <= 1024 or line & (line - 1) or not 0 < ways * line <= kib * 1024 <= 2**40:
        return None
    cpus = cpu_list(text(folder / "shared_cpu_list"))
    return SysCache(kib, line, min(ways, 1024), max(1, len(topology.cores(cpus, root))))


def _share(cache: SysCache) -> SysCache:
    limit = VIRTUAL_L3_KIB_PER_CORE * cache.shared_by
    return replace(cache, size_kib=min(cache.size_kib, limit))
