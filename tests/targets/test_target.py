# SPDX-License-Identifier: Apache-2.0
"""The properties of a target, checked against figures worked out by hand."""

import msgspec
import pytest

from mnc.targets import Cache, Target, load


def test_peak_of_known_cores() -> None:
    rpi5 = load("rpi5")
    # Two 128-bit FMA pipes: 2 pipes x 4 lanes x 2 operations x 2.4 GHz.
    assert rpi5.fast.peak_gflops() == pytest.approx(38.4)
    assert rpi5.fast.peak_gflops(4) == pytest.approx(153.6)
    assert load("rk3399").core_class("big").peak_gflops() == pytest.approx(14.4)


def test_lanes_and_registers() -> None:
    assert (load("arm").lanes, load("arm").vector_registers) == (4, 32)
    assert (load("armv7").lanes, load("armv7").vector_registers) == (4, 16)


def test_fast_is_the_big_core() -> None:
    rk3399 = load("rk3399")
    assert (rk3399.fast.cpu, rk3399.fast.count) == ("cortex-a72", 2)
    assert rk3399.core_class("little").cpu == "cortex-a53"
    with pytest.raises(KeyError):
        rk3399.core_class("huge")


def test_peak_is_unknown_without_a_clock() -> None:
    core = msgspec.structs.replace(load("arm").fast, clock_ghz=None)
    assert core.peak_gflops() is None
    assert core.flops_per_cycle == 8


def test_cache_size_in_bytes() -> None:
    l1d = load("rpi4").fast.l1d
    assert l1d.size_bytes == 32768
    with pytest.raises(ValueError, match="too small"):
        Cache(size_kib=1, associativity=32, latency_cycles=4, bandwidth_bytes_per_cycle=8)


@pytest.mark.parametrize(
    ("triple", "arch"),
    [
        ("x86_64-linux-gnu", "x86_64"),
        ("aarch64-linux-gnu", "aarch64"),
        ("arm64-linux-android", "aarch64"),
        ("armv7-linux-gnueabihf", "arm"),
    ],
)
def test_arch(triple: str, arch: str) -> None:
    assert _with(triple=triple).arch == arch


def test_tvm_target_of_an_arm_board() -> None:
    assert load("rk3399").tvm_target() == (
        "llvm -keys=arm_cpu,cpu -device=arm_cpu -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 "
        "-mattr=+neon -cl-opt=-misched-cluster:bool=false -model=rk3399 -num-cores=2"
    )


def test_hard_float_is_asked_for_on_32_bits_only() -> None:
    assert "-mfloat-abi=hard" in load("armv7").tvm_target().split()
    assert "-mfloat-abi=hard" not in load("arm").tvm_target()


def _with(**changes: object) -> Target:
    return msgspec.structs.replace(load("arm"), **{"glibc": None, **changes})


def test_a_last_cache_keeps_a_network_or_is_streamed_through() -> None:
    """An inference touches 20 MiB: that much must be read to push weights out of what is smaller."""
    rpi4 = load("rpi4")
    assert not rpi4.keeps_network
    assert rpi4.evict_bytes == 20 << 20
    l2 = rpi4.fast.l2
    assert l2 is not None
    large = msgspec.structs.replace(l2, size_kib=32 << 10)
    server = msgspec.structs.replace(rpi4, caches=(large,))
    assert server.keeps_network
    assert server.evict_bytes == 3 * l2.size_bytes
