# SPDX-License-Identifier: Apache-2.0
"""The choice of an LLVM name from real machines' flags, and the table against LLVM itself."""

import pytest
import tvm
from tvm.target import codegen

from mnc.targets.x86_cpus import AMD, BY_NAME, CPUS, INTEL, X86Cpu, cpu_name

COMMON = (
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse "
    "sse2 ht syscall nx pdpe1gb rdtscp lm constant_tsc rep_good nopl cpuid pni pclmulqdq ssse3 fma "
    "cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand lahf_lm abm fsgsbase bmi1 avx2 smep "
    "bmi2 erms "
)
SKYLAKE = COMMON + "3dnowprefetch pcid hypervisor invpcid rdseed adx smap xsaveopt xsavec "
AVX512 = "avx512f avx512dq avx512cd avx512bw avx512vl "
# The flags of /proc/cpuinfo on real machines, shortened to those that name a CPU's abilities.
QEMU64 = (
    "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pse36 clflush mmx fxsr sse sse2 "
    "syscall nx lm rep_good nopl xtopology cpuid pni cx16 x2apic hypervisor lahf_lm cpuid_fault"
)
QEMU_SSE4 = QEMU64 + " pat ht ssse3 sse4_1 sse4_2 popcnt aes 3dnowprefetch"
SANDY_BRIDGE = QEMU_SSE4 + " pclmulqdq xsave avx tsc_deadline_timer"
E5_2680_V3 = COMMON + "ss pcid x2apic hypervisor tsc_adjust invpcid xsaveopt arat vmx ept"
E5_2686_V4 = COMMON + "3dnowprefetch hypervisor hle invpcid rtm rdseed adx xsaveopt"
PLATINUM_8163 = SKYLAKE + AVX512 + "hle rtm mpx xgetbv1"
ICE_LAKE_SP = (
    SKYLAKE + AVX512 + "clwb avx512ifma sha_ni avx512vbmi umip pku avx512_vbmi2 gfni vaes "
    "vpclmulqdq avx512_vnni avx512_bitalg avx512_vpopcntdq rdpid fsrm"
)
SAPPHIRE_RAPIDS = (
    ICE_LAKE_SP + " avx_vnni avx512_bf16 cldemote movdiri movdir64b serialize tsxldtrk amx_bf16 "
    "avx512_fp16 amx_tile amx_int8"
)
WITHOUT_AMX = SAPPHIRE_RAPIDS.replace("amx_", "no_amx_")
ALDER_LAKE = SKYLAKE + "avx_vnni sha_ni gfni vaes vpclmulqdq rdpid umip pku waitpkg serialize"
ZEN = COMMON + "mmxext fxsr_opt sse4a misalignsse 3dnowprefetch rdseed adx smap xsavec sha_ni "
ZEN2 = ZEN + "clwb rdpid wbnoinvd clzero rdpru"
ZEN3 = ZEN2 + " invpcid vaes vpclmulqdq fsrm pku"
ZEN4 = (
    ZEN3 + " avx512f avx512dq avx512ifma avx512cd avx512bw avx512vl avx512_bf16 avx512vbmi "
    "avx512_vbmi2 gfni avx512_vnni avx512_bitalg avx512_vpopcntdq"
)
ZEN5 = ZEN4 + " avx_vnni movdiri movdir64b avx512_vp2intersect"


@pytest.mark.parametrize(
    ("flags", "vendor", "llvm_name", "expected"),
    [
        (QEMU64, INTEL, "x86-64", "x86-64"),
        (QEMU64, AMD, None, "x86-64"),
        (QEMU_SSE4, AMD, "k8-sse3", "x86-64-v2"),
        (QEMU_SSE4, INTEL, "penryn", "nehalem"),
        (SANDY_BRIDGE, INTEL, "sandybridge", "sandybridge"),
        (E5_2680_V3, INTEL, "haswell", "haswell"),
        (E5_2686_V4, INTEL, "broadwell", "broadwell"),
        (PLATINUM_8163, INTEL, "skylake-avx512", "skylake-avx512"),
        (ICE_LAKE_SP, INTEL, "icelake-server", "icelake-server"),
        (ICE_LAKE_SP, INTEL, "rocketlake", "rocketlake"),
        (ICE_LAKE_SP, INTEL, None, "icelake-server"),
        (SAPPHIRE_RAPIDS, INTEL, "sapphirerapids", "sapphirerapids"),
        (SAPPHIRE_RAPIDS, INTEL, "rocketlake", "sapphirerapids"),  # a virtual machine's model 167
        (WITHOUT_AMX, INTEL, "emeraldrapids", "emeraldrapids"),
        (WITHOUT_AMX, INTEL, None, "sapphirerapids"),
        (ALDER_LAKE, INTEL, "raptorlake", "alderlake"),
        (ZEN, AMD, "znver1", "znver1"),
        (ZEN2, AMD, "znver2", "znver2"),
        (ZEN3, AMD, "znver3", "znver3"),
        (ZEN4, AMD, "znver4", "znver4"),
        (ZEN5, AMD, "znver5", "znver5"),
        (ZEN3, "HygonGenuine", None, "x86-64-v3"),
        ("", "", None, "x86-64"),
    ],
)
def test_real_machines(flags: str, vendor: str, llvm_name: str | None, expected: str) -> None:
    assert cpu_name(frozenset(flags.split()), vendor, llvm_name) == expected


@pytest.mark.parametrize("hidden", ["avx512f", "avx_vnni", "avx512_fp16", "fma", "avx2", "sse4_2"])
def test_a_feature_the_hypervisor_hides_is_never_used(hidden: str) -> None:
    flags = frozenset(SAPPHIRE_RAPIDS.split()) - {hidden}
    chosen = BY_NAME[cpu_name(flags, INTEL, "sapphirerapids")]
    assert hidden not in chosen.flags
    assert chosen.flags <= flags


def test_every_name_wins_on_its_own_flags_or_ties_with_an_equal() -> None:
    for cpu in CPUS:
        chosen = BY_NAME[cpu_name(cpu.flags, cpu.vendor or "", cpu.name)]
        assert chosen.flags == cpu.flags


# LLVM's spelling of what /proc/cpuinfo calls something else.
SPELLING = {
    "sse3": "pni",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
    "crc32": "sse4_2",
    "sahf": "lahf_lm",
    "lzcnt": "abm",
    "bmi": "bmi1",
    "pclmul": "pclmulqdq",
    "prfchw": "3dnowprefetch",
    "sha": "sha_ni",
    "avxvnni": "avx_vnni",
    "amx-fp16": "amx_fp16",
    "avx512bf16": "avx512_bf16",
    "avx512bitalg": "avx512_bitalg",
    "avx512fp16": "avx512_fp16",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512vnni": "avx512_vnni",
    "avx512vp2intersect": "avx512_vp2intersect",
    "avx512vpopcntdq": "avx512_vpopcntdq",
}
# Vector and bit features that LLVM turns plain code into.
USED_UNASKED = {
    *("cmov", "cx8", "cx16", "fxsr", "mmx", "sse", "sse2", "ssse3", "popcnt", "avx", "avx2"),
    *("bmi2", "f16c", "fma", "movbe", "xsave", "adx", "aes", "gfni", "vaes", "vpclmulqdq"),
    *("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512ifma", "avx512vbmi"),
    *("sse4a", "xop", "fma4", "tbm"),
}


@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.name)
def test_the_table_has_every_feature_llvm_uses(cpu: X86Cpu) -> None:
    target = tvm.target.Target(f"llvm -mtriple=x86_64-linux-gnu -mcpu={cpu.name}")
    features = {str(feature) for feature in codegen.llvm_get_cpu_features(target)}
    assert "sse2" in features
    used = {SPELLING.get(f, f) for f in features if f in SPELLING or f in USED_UNASKED}
    assert used <= cpu.flags
