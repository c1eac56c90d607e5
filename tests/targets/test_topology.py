# SPDX-License-Identifier: Apache-2.0
"""Reading the kernel's files: this machine's, and copies of what other machines have."""

import os
from pathlib import Path

from mnc.targets import topology
from tests.targets.machines import SNAPDRAGON_8_GEN_2, cores, write_files


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
    cores(tmp_path, {0: (0, 0), 1: (0, 1), 2: (0, 0), 3: (0, 1), 4: (1, 0)})
    assert topology.usable_cores(tmp_path, [0, 1, 2, 3]) == 2
    assert topology.usable_cores(tmp_path, [0, 2]) == 1
    assert topology.usable_cores(tmp_path, [0, 4]) == 2


def test_without_sys_each_cpu_is_a_core(tmp_path: Path) -> None:
    assert topology.usable_cores(tmp_path, [0, 1, 2]) == 3
    assert topology.cpuinfo(tmp_path) == [{}]


def test_quota_of_cgroup_2_counts_the_parents(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/pod.slice"
    write_files(tmp_path, {"proc/self/cgroup": "0::/pod.slice/box\n"})
    write_files(tmp_path, {f"{group}/box/cpu.max": "max 100000\n"})
    assert topology.cpu_quota(tmp_path) is None
    write_files(tmp_path, {f"{group}/cpu.max": "250000 100000\n"})
    assert topology.cpu_quota(tmp_path) == 2.5
    assert topology.usable_cores(tmp_path, [0, 1, 2, 3]) == 2
    write_files(tmp_path, {f"{group}/box/cpu.max": "50000 100000\n"})
    assert topology.usable_cores(tmp_path, [0, 1, 2, 3]) == 1


def test_a_group_that_a_container_hides_is_looked_for_at_the_mount(tmp_path: Path) -> None:
    write_files(tmp_path, {"sys/fs/cgroup/cpu.max": "50000 100000"})
    assert (topology.cpu_quota(tmp_path), topology.paid_cores(tmp_path)) == (0.5, 1)
    assert topology.processes(16, tmp_path) == 1


def test_no_more_processes_than_asked_for_or_there_are_cpus(tmp_path: Path) -> None:
    SNAPDRAGON_8_GEN_2.write(tmp_path)
    assert [topology.processes(most, tmp_path) for most in (3, 16, None)] == [3, 8, 8]


def test_another_machines_affinity_is_in_its_proc(tmp_path: Path) -> None:
    SNAPDRAGON_8_GEN_2.write(tmp_path)
    write_files(tmp_path, {"proc/self/status": "Name:\tmnc\nCpus_allowed_list:\t0-2,7-31"})
    assert topology.usable_cpus(tmp_path) == [0, 1, 2, 7]


def test_quota_of_cgroup_1_in_a_container(tmp_path: Path) -> None:
    # The name is the host's; inside the container only the mount is there.
    write_files(tmp_path, {"proc/self/cgroup": "4:memory:/docker/f0\n3:cpu,cpuacct:/docker/f0\n"})
    write_files(tmp_path, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"})
    write_files(tmp_path, {"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"})
    assert topology.cpu_quota(tmp_path) is None
    write_files(tmp_path, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n"})
    assert topology.cpu_quota(tmp_path) == 3.0
