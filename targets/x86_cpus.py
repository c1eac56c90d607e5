# SPDX-License-Identifier: Apache-2.0
"""x86 cores by LLVM name: the features code for each may use, and what each does in a cycle.

`cpu_name` chooses from it. Flags are spelt as in /proc/cpuinfo. A CPU's flags hold every feature
LLVM uses unasked for that name; of those that only an explicit intrinsic uses, it has the few
that tell one core from another.
"""

from dataclasses import dataclass

_V1 = frozenset(["cmov", "cx8", "fxsr", "mmx", "sse", "sse2"])
_V2 = _V1 | frozenset(["cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"])
_V3 = _V2 | frozenset(["abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"])
_V4 = _V3 | frozenset(["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"])
_BROADWELL = _V3 | frozenset(["3dnowprefetch", "adx", "pclmulqdq"])
_SKYLAKE = _BROADWELL | {"aes", "xsavec"}
_SKX = _SKYLAKE | _V4
_CLX = _SKX | {"avx512_vnni"}
_VAES = frozenset(["vaes", "vpclmulqdq"])
_ICX = (
    _CLX
    | _VAES
    | frozenset(["avx512_bitalg", "avx512_vbmi2", "avx512_vpopcntdq", "avx512ifma", "avx512vbmi"])
    | frozenset(["gfni", "sha_ni"])
)
# Without AMX, which code uses by intrinsics alone and hypervisors like to hide.
_SPR = _ICX | frozenset(["avx512_bf16", "avx512_fp16", "avx_vnni"])
_ALDERLAKE = _SKYLAKE | _VAES | frozenset(["avx_vnni", "gfni", "sha_ni"])
_ZEN1 = _SKYLAKE | frozenset(["sha_ni", "sse4a"])
_ZEN3 = _ZEN1 | _VAES
_ZEN4 = _ZEN3 | _ICX | {"avx512_bf16"}
_ZEN5 = _ZEN4 | frozenset(["avx512_vp2intersect", "avx_vnni"])

INTEL, AMD = "GenuineIntel", "AuthenticAMD"


@dataclass(frozen=True)
class X86Cpu:
    """A core as `CoreClass` wants it; `vendor` None fits any.

    `l1`, `l2` and `l3` are (load-to-use latency in cycles, bytes one core reads per cycle).
    """

    name: str
    vendor: str | None
    flags: frozenset[str]
    vector_bits: int
    fma_units: float
    l1: tuple[int, int] = (5, 64)
    l2: tuple[int, int] = (14, 32)
    l3: tuple[int, int] = (60, 12)
    misses_in_flight: int = 12

    @property
    def vector_registers(self) -> int:
        """AVX-512 doubles the sixteen registers of SSE and AVX."""
        return 32 if "avx512f" in self.flags else 16


# Latencies, widths and fill buffers: Intel 64 and IA-32 Optimization Reference Manual (cache tables
# of each microarchitecture); AMD Software Optimization Guides 56305 (Zen 2), 56665 (Zen 3), 57647
# (Zen 4), 58455 (Zen 5). L2 bytes per cycle are sustained estimates: half the width of the bus.
# fma_units of SKX to CLX is that of the parts with two AVX-512 units; a few cheap ones have one.
# Parts without FMA count one multiply and one add a cycle as one multiply-add.
# L3: estimates between mesh and ring parts; measured on an Emerald Rapids, as is its L2 beside multiply-adds
# (64 bytes in 1.25 cycles when nothing else is loaded, in 1.46 among them).
_L1, _L2 = (5, 128), (14, 48)  # Intel with AVX-512
_SPR_CACHES = {"l1": _L1, "l2": (14, 44), "l3": (110, 10)}
CPUS = (
    X86Cpu("x86-64", None, _V1, 128, 1.0, l1=(4, 16), l2=(12, 16), misses_in_flight=10),
    X86Cpu("x86-64-v2", None, _V2, 128, 1.0, l1=(4, 16), l2=(12, 16), misses_in_flight=10),
    X86Cpu("x86-64-v3", None, _V3, 256, 2.0),
    X86Cpu("x86-64-v4", None, _V4, 512, 1.0),
    X86Cpu("nehalem", INTEL, _V2, 128, 1.0, l1=(4, 16), l2=(10, 16), misses_in_flight=10),
    X86Cpu("sandybridge", INTEL, _V2 | {"avx", "pclmulqdq", "xsave"}, 256, 1.0, l1=(5, 32)),
    X86Cpu("haswell", INTEL, _V3 | {"pclmulqdq"}, 256, 2.0, l2=(12, 32), misses_in_flight=10),
    X86Cpu("broadwell", INTEL, _BROADWELL, 256, 2.0, l2=(12, 32), misses_in_flight=10),
    X86Cpu("skylake", INTEL, _SKYLAKE, 256, 2.0, l2=(12, 32)),
    X86Cpu("alderlake", INTEL, _ALDERLAKE, 256, 2.0, l1=(5, 96), l2=(15, 48), misses_in_flight=16),
    # The small cores of Intel's hybrids, and processors that have no others.
    X86Cpu("gracemont", INTEL, _ALDERLAKE, 256, 1.0, l1=(4, 32), l2=(17, 32), misses_in_flight=16),
    X86Cpu("skylake-avx512", INTEL, _SKX, 512, 2.0, l1=_L1, l2=_L2),
    X86Cpu("cascadelake", INTEL, _CLX, 512, 2.0, l1=_L1, l2=_L2),
    X86Cpu("cooperlake", INTEL, _CLX | {"avx512_bf16"}, 512, 2.0, l1=_L1, l2=_L2),
    # Before the clients: where LLVM cannot tell (a virtual machine's model number), it is a server.
    X86Cpu("icelake-server", INTEL, _ICX, 512, 2.0, l1=_L1, l2=_L2),
    X86Cpu("icelake-client", INTEL, _ICX, 512, 1.0, l1=_L1, l2=_L2),
    X86Cpu("rocketlake", INTEL, _ICX, 512, 1.0, l1=_L1, l2=_L2),
    X86Cpu("tigerlake", INTEL, _ICX | {"avx512_vp2intersect"}, 512, 1.0, l1=_L1, l2=_L2),
    X86Cpu("sapphirerapids", INTEL, _SPR, 512, 2.0, misses_in_flight=16, **_SPR_CACHES),
    X86Cpu("emeraldrapids", INTEL, _SPR, 512, 2.0, misses_in_flight=16, **_SPR_CACHES),
    X86Cpu(
        "graniterapids", INTEL, _SPR | {"amx_fp16"}, 512, 2.0, misses_in_flight=16, **_SPR_CACHES
    ),
    X86Cpu("znver1", AMD, _ZEN1, 256, 1.0, l1=(8, 32), l2=(17, 32), misses_in_flight=22),
    X86Cpu("znver2", AMD, _ZEN1 | {"clwb"}, 256, 2.0, l1=(8, 64), l2=(12, 32), misses_in_flight=22),
    X86Cpu("znver3", AMD, _ZEN3, 256, 2.0, l1=(8, 64), l2=(12, 32), misses_in_flight=24),
    X86Cpu("znver4", AMD, _ZEN4, 512, 1.0, l1=(8, 64), l2=(14, 32), misses_in_flight=24),
    X86Cpu("znver5", AMD, _ZEN5, 512, 2.0, l1=(8, 128), l2=(14, 64), misses_in_flight=24),
)
BY_NAME = {cpu.name: cpu for cpu in CPUS}


def small_core(big: X86Cpu) -> X86Cpu:
    """The small core of a hybrid whose fast ones are `big`."""
    small = BY_NAME["gracemont"]
    return small if small.flags <= big.flags else big


def cpu_name(flags: frozenset[str], vendor: str, llvm_name: str | None = None) -> str:
    """The LLVM CPU name to generate code for, never one with a feature that `flags` lacks.

    Hypervisors report model numbers that belong to another core and hide features, so `llvm_name`
    (LLVM's reading of the model number) only decides between names that use the same features.
    Otherwise the name of the vendor's core that uses most of what is there wins.
    """
    fitting = [cpu for cpu in CPUS if cpu.vendor in (None, vendor) and cpu.flags <= flags]
    if not fitting:
        return CPUS[0].name
    # A vendor's own name carries its schedule, so it beats a generic one that uses no more vectors.
    best = max(fitting, key=lambda cpu: (cpu.vector_bits, cpu.vendor is not None, len(cpu.flags)))
    by_llvm = BY_NAME.get(llvm_name or "")
    if by_llvm in fitting and by_llvm.flags == best.flags:
        return by_llvm.name
    return best.name
