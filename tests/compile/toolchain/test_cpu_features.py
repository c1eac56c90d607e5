# SPDX-License-Identifier: Apache-2.0
"""Which features code needs and a CPU has, this one and others, by LLVM's names."""

from pathlib import Path

import pytest

from mnc.compile.toolchain import cpu_features
from mnc.targets import load


def test_this_cpu_has_what_code_for_it_requires() -> None:
    target = load("host")
    features = cpu_features.required(target.tvm_target(), target.arch)
    assert len(features) > 2 and cpu_features.missing(features, target.arch) == ()


def test_features_of_other_machines(tmp_path: Path) -> None:
    skylake = cpu_features.required("llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512", "x86_64")
    old = "processor : 0\nflags : fpu pni ssse3 sse4_1 sse4_2 popcnt avx\n"
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(old)
    lacking = cpu_features.missing(skylake, "x86_64", root=tmp_path)
    assert {"avx2", "fma", "avx512f", "avx512vl"} <= set(lacking)
    assert not {"avx", "sse4.2", "popcnt"} & set(lacking)
    big_little = (
        "processor : 0\nFeatures : fp asimd atomics asimddp\n\nprocessor : 1\nFeatures : fp asimd\n"
    )
    (tmp_path / "proc/cpuinfo").write_text(big_little)
    a76 = cpu_features.required(
        "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76 -mattr=+neon", "aarch64"
    )
    assert {"neon", "lse", "dotprod"} <= set(a76)
    assert "lse" in cpu_features.missing(a76, "aarch64", root=tmp_path)
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\n")
    assert cpu_features.missing(a76, "aarch64", root=tmp_path) == ()


@pytest.mark.parametrize(
    ("cpu", "feature", "flag"),
    [
        ("cascadelake", "avx512vnni", "avx512_vnni"),
        ("alderlake", "avxvnni", "avx_vnni"),
        ("znver4", "avx512vnni", "avx512_vnni"),
    ],
)
def test_code_of_8_bit_dot_products_needs_a_cpu_that_has_them(
    cpu: str, feature: str, flag: str, tmp_path: Path
) -> None:
    needed = cpu_features.required(f"llvm -mtriple=x86_64-linux-gnu -mcpu={cpu}", "x86_64")
    others = [name for own, name in cpu_features.X86.items() if own != feature]
    (tmp_path / "proc").mkdir()
    for flags, lacking in ((others, (feature,)), ([*others, flag], ())):
        (tmp_path / "proc/cpuinfo").write_text(f"processor : 0\nflags : {' '.join(flags)}\n")
        assert cpu_features.missing(needed, "x86_64", root=tmp_path) == lacking
