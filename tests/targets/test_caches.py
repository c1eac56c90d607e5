# SPDX-License-Identifier: Apache-2.0
"""Caches as other machines' kernels describe them in /sys."""

from pathlib import Path

from mnc.targets.caches import SysCache, caches
from tests.targets.machines import cores, write_files

CPU = "sys/devices/system/cpu/cpu0"


def test_no_sys_no_caches(tmp_path: Path) -> None:
    assert caches(0, tmp_path, virtual=False) == {}


def _cache(
    root: Path, index: int, *, level: int, kind: str, size: str, ways: int, cpus: str
) -> None:
    said = {"level": str(level), "type": kind, "size": size, "coherency_line_size": "64"}
    said |= {"ways_of_associativity": str(ways), "shared_cpu_list": cpus}
    write_files(root / CPU / f"cache/index{index}", said)


def test_caches_of_a_zen_3_server(tmp_path: Path) -> None:
    cores(tmp_path, {cpu: (0, cpu % 8) for cpu in range(16)})
    _cache(tmp_path, 0, level=1, kind="Data", size="32K", ways=8, cpus="0,8")
    _cache(tmp_path, 1, level=1, kind="Instruction", size="32K", ways=8, cpus="0,8")
    _cache(tmp_path, 2, level=2, kind="Unified", size="512K", ways=8, cpus="0,8")
    _cache(tmp_path, 3, level=3, kind="Unified", size="32768K", ways=16, cpus="0-15")
    found = caches(0, tmp_path, virtual=False)
    assert found == {
        1: SysCache(32, 64, 8, 1),
        2: SysCache(512, 64, 8, 1),
        3: SysCache(32768, 64, 16, 8),
    }
    assert caches(0, tmp_path, virtual=True) == found


def test_a_virtual_machine_gets_no_whole_sockets_cache(tmp_path: Path) -> None:
    cores(tmp_path, {0: (0, 0), 1: (0, 1)})
    _cache(tmp_path, 3, level=3, kind="Unified", size="491520K", ways=16, cpus="0-1")
    assert caches(0, tmp_path, virtual=True)[3].size_kib == 10 * 1024
    assert caches(0, tmp_path, virtual=False)[3].size_kib == 480 * 1024


def test_senseless_caches_are_left_out(tmp_path: Path) -> None:
    _cache(tmp_path, 0, level=1, kind="Data", size="garbage", ways=8, cpus="0")
    _cache(tmp_path, 1, level=2, kind="Unified", size="2M", ways=0, cpus="")
    _cache(tmp_path, 2, level=3, kind="Unified", size="4K", ways=128, cpus="0")
    write_files(tmp_path / CPU / "cache/index2", {"coherency_line_size": "48"})
    assert caches(0, tmp_path, virtual=False) == {2: SysCache(2048, 64, 16, 1)}
