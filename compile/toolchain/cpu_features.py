# SPDX-License-Identifier: Apache-2.0
"""Which instruction sets a library needs, and which of them this CPU lacks.

Takes a TVM target string (asking LLVM) or LLVM's feature names; gives LLVM's feature names. Only
features that code for a neural network can come to use are named: running code with any other
(a timer, a key register) is not what makes an app die of an illegal instruction.
"""

import platform
from collections.abc import Iterable
from pathlib import Path

from mnc.targets import topology
from mnc.targets.kernel_files import ROOT

# LLVM's name: the kernel's in /proc/cpuinfo.
X86 = {
    "sse3": "pni",
    "ssse3": "ssse3",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
    "popcnt": "popcnt",
    "movbe": "movbe",
    "lzcnt": "abm",
    "bmi": "bmi1",
    "bmi2": "bmi2",
    "avx": "avx",
    "f16c": "f16c",
    "fma": "fma",
    "avx2": "avx2",
    "adx": "adx",
    "gfni": "gfni",
    "avxvnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512cd": "avx512cd",
    "avx512bw": "avx512bw",
    "avx512dq": "avx512dq",
    "avx512vl": "avx512vl",
    "avx512ifma": "avx512ifma",
    "avx512vbmi": "avx512vbmi",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avx512vnni": "avx512_vnni",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
}
AARCH64 = {
    "neon": "asimd",
    "lse": "atomics",
    "rdm": "asimdrdm",
    "fullfp16": "asimdhp",
    "dotprod": "asimddp",
    "bf16": "bf16",
    "i8mm": "i8mm",
    "sve": "sve",
    "sve2": "sve2",
}
ARM = {"neon": "neon", "vfp4": "vfpv4", "hwdiv": "idivt", "hwdiv-arm": "idiva"}
FEATURES = {"x86_64": X86, "aarch64": AARCH64, "arm": ARM}
MACHINES = {
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
    "armv7l": "arm",
    "armv8l": "arm",
}


def required(tvm_target: str, arch: str) -> tuple[str, ...]:
    """The features that code for `tvm_target`, a CPU of `arch`, may use. Imports tvm."""

    import tvm
    from tvm.target import codegen

    used = {str(name) for name in codegen.llvm_get_cpu_features(tvm.target.Target(tvm_target))}
    return tuple(name for name in FEATURES[arch] if name in used)


def machine_arch() -> str:
    """ "x86_64", "aarch64" or "arm", or what the kernel calls any other."""
    machine = platform.machine().lower()
    return MACHINES.get(machine, machine)


def missing(features: Iterable[str], arch: str, *, root: Path = ROOT) -> tuple[str, ...]:
    """Those of `features` that this CPU, of architecture `arch`, lacks; none where the kernel does
    not list its CPU's features. Every core must have a feature: programs move between them.
    """
    key = "flags" if arch == "x86_64" else "Features"
    listed = [set(entry[key].split()) for entry in topology.cpuinfo(root) if key in entry]
    if not listed:
        return ()
    present = set.intersection(*listed)
    names = FEATURES.get(arch, {})
    return tuple(name for name in features if names.get(name) not in present)
