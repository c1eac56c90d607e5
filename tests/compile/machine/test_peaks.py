# SPDX-License-Identifier: Apache-2.0
"""The machine's measured limits: plausible, cached, and refused for another machine."""

from pathlib import Path

import msgspec
import pytest

from mnc.compile.machine import peaks
from mnc.compile.machine.peaks import Figures
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile import tuning_tasks


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MNC_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.slow
@pytest.mark.alone
def test_figures_are_those_of_a_real_core() -> None:
    target = tuning_tasks.host()
    found = peaks.figures(target)
    # No x86-64 core multiplies and adds more than 2 vectors a cycle at 7 GHz, or runs below 0.5.
    per_cycle = target.fast.flops_per_cycle
    assert 0.5 * per_cycle / 2 < found.gflops < 7 * per_cycle * 2
    levels = list(found.bandwidths)
    assert levels[0] == "L1" and levels[-1] == "DRAM"
    assert found.bandwidths["L1"] > found.bandwidths["DRAM"] > 0.5


@pytest.mark.slow
def test_another_machine_cannot_be_measured() -> None:
    with pytest.raises(UserError, match="only the machine that this runs on"):
        peaks.figures(load("rpi4"))


def test_known_figures_are_not_measured_again(own_cache: Path) -> None:
    target = load("rpi4")  # cannot be measured here, so what is returned can only be the stored
    stored = Figures(
        version=peaks.VERSION, threads=1, gflops=12.0, bandwidths={"L1": 40.0}, again=4.0
    )
    path = own_cache / "machine" / f"{peaks._slug(target)}-1.json"
    path.parent.mkdir()
    path.write_bytes(msgspec.json.encode(stored))
    assert peaks.figures(target) == stored
    assert peaks.peak(target) == 12.0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version":1}'])
def test_a_damaged_cache_is_no_figure(own_cache: Path, content: bytes) -> None:
    path = own_cache / "figures.json"
    path.write_bytes(content)
    assert peaks._read(path) is None


def test_figures_of_older_kernels_are_ignored(own_cache: Path) -> None:
    path = own_cache / "figures.json"
    old = Figures(version=peaks.VERSION - 1, threads=1, gflops=1.0, bandwidths={}, again=1.0)
    path.write_bytes(msgspec.json.encode(old))
    assert peaks._read(path) is None


def test_levels_grow() -> None:
    sizes = peaks.levels(load("rk3399"))
    assert {"L1", "DRAM"} == {min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)}
    assert list(sizes.values()) == sorted(sizes.values())


@pytest.mark.parametrize(("again", "keeps"), [(29.0, True), (17.0, False)])
def test_a_last_cache_is_as_large_as_it_was_measured(again: float, keeps: bool) -> None:
    """What an inference reads comes as fast as from the cache, or as slowly as from memory."""
    l2 = load("rk3399").fast.l2
    assert l2 is not None
    shared = msgspec.structs.replace(load("rk3399"), caches=(l2,))
    speeds = {"L1": 300.0, "L2": 100.0, "L3": 30.0, "DRAM": 15.0}
    found = Figures(version=peaks.VERSION, threads=1, gflops=100.0, bandwidths=speeds, again=again)
    made = peaks.as_measured(shared, found)
    assert made.keeps_network == keeps
    assert made.memory.core_bandwidth_gb_s == made.memory.bandwidth_gb_s == 15.0
