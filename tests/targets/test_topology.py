# SPDX-License-Identifier: Apache-2.0
"""Reading the kernel's files: this machine's, and copies of what other machines have."""

import os
from pathlib import Path

from mnc.targets import topology
from mnc.targets.topology import SysCache


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _cores(root: Path, core_of: dict[int, tuple[int, int]]) -> None:
    for cpu, (package, core) in core_of.items():
        folder = f"sys/devices/system/cpu/cpu{cpu}/topology"
        _write(root, {f"{folder}/physical_package_id": f"{package}\n"})
        _write(root, {f"{folder}/core_id": f"{core}\n"})


def test_this_machine() -> None:
    cores = topology.usable_cores()
    assert 1 <= cores <= len(topology.usable_cpus()) <= (os.cpu_count() or 1)
    assert len(topology.cpuinfo()) >= len(topology.usable_cpus())


def test_affinity_narrows_the_cores() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert topology.usable_cpus() == [min(allowed)]
        assert topology.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_hyper_threads_are_one_core_and_sockets_are_two(tmp_path: Path) -> None:
    _cores(tmp_path, {0: (0, 0), 1: (0, 1), 2: (0, 0), 3: (0, 1), 4: (1, 0)})
    assert topology.usable_cores(tmp_path, [0, 1, 2, 3]) == 2
    assert topology.usable_cores(tmp_path, [0, 2]) == 1
    assert topology.usable_cores(tmp_path, [0, 4]) == 2


def test_without_sys_each_cpu_is_a_core(tmp_path: Path) -> None:
    assert topology.usable_cores(tmp_path, [0, 1, 2]) == 3
    assert topology.caches(0, tmp_path, virtual=False) == {}
    assert topology.cpuinfo(tmp_path) == [{}]


def test_quota_of_cgroup_2_counts_the_parents(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/pod.slice"
    _write(tmp_path, {"proc/self/cgroup": "0::/pod.slice/box\n"})
    _write(tmp_path, {f"{group}/box/cpu.max": "max 100000\n"})
    assert topology.cpu_quota(tmp_path) is None
    _write(tmp_path, {f"{group}/cpu.max": "250000 100000\n"})
    assert topology.cpu_quota(tmp_path) == 2.5
    assert topology.usable_cores(tmp_path, [0, 1, 2, 3]) == 2
    _write(tmp_path, {f"{group}/box/cpu.max": "50000 100000\n"})
    assert topology.usable_cores(tmp_path, [0, 1, 2, 3]) == 1


def test_quota_of_cgroup_1_in_a_container(tmp_path: Path) -> None:
    # The name is the host's; inside the container only the mount is there.
    _write(tmp_path, {"proc/self/cgroup": "4:memory:/docker/f0\n3:cpu,cpuacct:/docker/f0\n"})
    _write(tmp_path, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"})
    _write(tmp_path, {"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"})
    assert topology.cpu_quota(tmp_path) is None
    _write(tmp_path, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n"})
    assert topology.cpu_quota(tmp_path) == 3.0


def _cache(
    root: Path, index: int, *, level: int, kind: str, size: str, ways: int, cpus: str
) -> None:
    folder = f"sys/devices/system/cpu/cpu0/cache/index{index}"
    _write(root, {f"{folder}/level": f"{level}\n", f"{folder}/type": f"{kind}\n"})
    _write(root, {f"{folder}/size": f"{size}\n", f"{folder}/coherency_line_size": "64\n"})
    _write(root, {f"{folder}/ways_of_associativity": f"{ways}\n"})
    _write(root, {f"{folder}/shared_cpu_list": f"{cpus}\n"})


def test_caches_of_a_zen_3_server(tmp_path: Path) -> None:
    _cores(tmp_path, {cpu: (0, cpu % 8) for cpu in range(16)})
    _cache(tmp_path, 0, level=1, kind="Data", size="32K", ways=8, cpus="0,8")
    _cache(tmp_path, 1, level=1, kind="Instruction", size="32K", ways=8, cpus="0,8")
    _cache(tmp_path, 2, level=2, kind="Unified", size="512K", ways=8, cpus="0,8")
    _cache(tmp_path, 3, level=3, kind="Unified", size="32768K", ways=16, cpus="0-15")
    found = topology.caches(0, tmp_path, virtual=False)
    assert found == {
        1: SysCache(32, 64, 8, 1),
        2: SysCache(512, 64, 8, 1),
        3: SysCache(32768, 64, 16, 8),
    }
    assert topology.caches(0, tmp_path, virtual=True) == found


def test_a_virtual_machine_gets_no_whole_sockets_cache(tmp_path: Path) -> None:
    _cores(tmp_path, {0: (0, 0), 1: (0, 1)})
    _cache(tmp_path, 3, level=3, kind="Unified", size="491520K", ways=16, cpus="0-1")
    assert topology.caches(0, tmp_path, virtual=True)[3].size_kib == 10 * 1024
    assert topology.caches(0, tmp_path, virtual=False)[3].size_kib == 480 * 1024


def test_senseless_caches_are_left_out(tmp_path: Path) -> None:
    _cache(tmp_path, 0, level=1, kind="Data", size="garbage", ways=8, cpus="0")
    _cache(tmp_path, 1, level=2, kind="Unified", size="2M", ways=0, cpus="")
    assert topology.caches(0, tmp_path, virtual=False) == {2: SysCache(2048, 64, 16, 1)}
