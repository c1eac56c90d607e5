# SPDX-License-Identifier: Apache-2.0
"""Features of 64-bit ARM cores: the kernel's names for them and LLVM's, and what a target is to say of them.

Takes what the kernel lists in /proc/cpuinfo and a core; gives LLVM's attributes.
"""

from collections.abc import Iterable

from mnc.targets.arm_cpus import ArmCpu

# LLVM's name: the kernel's. Of all that it has names for, what code for a network may come to use.
KERNEL_NAMES = {
    "lse": "atomics",
    "rdm": "asimdrdm",
    "rcpc": "lrcpc",
    "fullfp16": "asimdhp",
    "dotprod": "asimddp",
    "fp16fml": "asimdfhm",
    "complxnum": "fcma",
    "jsconv": "jscvt",
    "flagm": "flagm",
    "fptoint": "frint",
    "sha3": "sha3",
    "bf16": "bf16",
    "i8mm": "i8mm",
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
}
# Said in every target that has them, as in the files of boards: kernels are chosen by them.
NAMED = ("fullfp16", "dotprod", "bf16", "i8mm", "sve", "sve2")
# Never used unless the kernel lists it: their registers are there only when it saves them.
OWN_REGISTERS = frozenset(["sve", "sve2", "sme"])


def offered(processors: Iterable[dict[str, str]], cpu: ArmCpu) -> frozenset[str]:
    """LLVM's names of what all processors list; where none lists any, what `cpu` always has."""
    listed = [set(entry["Features"].split()) for entry in processors if entry.get("Features")]
    if not listed:
        return cpu.features - OWN_REGISTERS
    common = set.intersection(*listed)
    return frozenset(name for name, kernels in KERNEL_NAMES.items() if kernels in common)


def attributes(cpu: ArmCpu, features: frozenset[str]) -> tuple[str, ...]:
    """LLVM's attributes: those of NAMED that are there, and, taken off, what `cpu` implies in vain."""
    lacking = [name for name in KERNEL_NAMES if name in cpu.features - features]
    named = [name for name in NAMED if name in features]
    return ("+neon", *(f"+{name}" for name in named), *(f"-{name}" for name in lacking))
