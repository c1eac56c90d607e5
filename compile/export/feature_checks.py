# SPDX-License-Identifier: Apache-2.0
"""How a library asks at run time whether the CPU has a feature, by LLVM's name for it.

Gives, for an architecture, the arguments that `runtime/cpu.c` takes for each feature. From Intel's manual
(volume 2A, CPUID), AMD's (volume 3, appendix E) and Linux's asm/hwcap.h.
"""

from collections.abc import Iterable

# Leaf, subleaf, register and bit of CPUID.
X86 = {
    "sse3": "1, 0, ECX, 0",
    "ssse3": "1, 0, ECX, 9",
    "fma": "1, 0, ECX, 12",
    "sse4.1": "1, 0, ECX, 19",
    "sse4.2": "1, 0, ECX, 20",
    "movbe": "1, 0, ECX, 22",
    "popcnt": "1, 0, ECX, 23",
    "avx": "1, 0, ECX, 28",
    "f16c": "1, 0, ECX, 29",
    "bmi": "7, 0, EBX, 3",
    "avx2": "7, 0, EBX, 5",
    "bmi2": "7, 0, EBX, 8",
    "avx512f": "7, 0, EBX, 16",
    "avx512dq": "7, 0, EBX, 17",
    "adx": "7, 0, EBX, 19",
    "avx512ifma": "7, 0, EBX, 21",
    "avx512cd": "7, 0, EBX, 28",
    "avx512bw": "7, 0, EBX, 30",
    "avx512vl": "7, 0, EBX, 31",
    "avx512vbmi": "7, 0, ECX, 1",
    "avx512vbmi2": "7, 0, ECX, 6",
    "gfni": "7, 0, ECX, 8",
    "avx512vnni": "7, 0, ECX, 11",
    "avx512bitalg": "7, 0, ECX, 12",
    "avx512vpopcntdq": "7, 0, ECX, 14",
    "avx512fp16": "7, 0, EDX, 23",
    "avxvnni": "7, 1, EAX, 4",
    "avx512bf16": "7, 1, EAX, 5",
    "lzcnt": "0x80000001, 0, ECX, 5",
}
# The word and the bit in which Linux tells of a feature.
AARCH64 = {
    "neon": "AT_HWCAP, 1",
    "lse": "AT_HWCAP, 8",
    "fullfp16": "AT_HWCAP, 10",
    "rdm": "AT_HWCAP, 12",
    "dotprod": "AT_HWCAP, 20",
    "sve": "AT_HWCAP, 22",
    "sve2": "AT_HWCAP2, 1",
    "i8mm": "AT_HWCAP2, 13",
    "bf16": "AT_HWCAP2, 14",
}
ARM = {
    "neon": "AT_HWCAP, 12",
    "vfp4": "AT_HWCAP, 16",
    "hwdiv-arm": "AT_HWCAP, 17",
    "hwdiv": "AT_HWCAP, 18",
}
CHECKS = {"x86_64": X86, "aarch64": AARCH64, "arm": ARM}


def macro(features: Iterable[str], arch: str) -> str:
    """The body of cpu.c's FEATURES(F). KeyError for a feature that nothing is known of."""
    return " ".join(f'F("{name}", {CHECKS[arch][name]})' for name in features)
