# SPDX-License-Identifier: Apache-2.0
"""What a traced program finds out about its CPU: emulated instructions, and the files that kernels show.

Runtimes choose their kernels by these: ncnn by the part number in /sys, XNNPACK by /proc/cpuinfo. Takes a
`Target`; gives a folder that stands before the root's and the name of an emulated CPU with the target's
instructions.
"""

from pathlib import Path

from mnc.compile.rpc.rootfs import Root
from mnc.targets import Target
from mnc.targets.arm_cpus import ARM_CPUS

FEATURES = {"fullfp16": "fphp asimdhp", "dotprod": "asimddp", "lse": "atomics", "i8mm": "i8mm"}
BASE = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
CPUS = Path("sys/devices/system/cpu")
# Where it is not 0. XNNPACK's cpuinfo does not believe the first variant of a Cortex-A55 that it has the dot
# product, whatever its kernel lists, and XNNPACK then takes kernels of an A53.
VARIANTS = {"cortex-a55": 1}
# What qemu 7.2 emulates, by what it lists to programs.
DOT_PRODUCTS, PLAIN, ALL = "cortex-a76", "cortex-a72", "max,sve=off"


def emulated_cpu(target: Target) -> str:
    """qemu's CPU with the instructions of the target's fast cores, and no more that a network would use."""
    _, features = _part(target)
    if "i8mm" in features:
        return ALL
    return DOT_PRODUCTS if "dotprod" in features else PLAIN


def write(folder: Path, root: Root, target: Target) -> Path:
    """Make `folder` a root file system that has the files of the target's kernel; gives it."""
    folder.mkdir()
    for entry in root.folder.iterdir():
        (folder / entry.name).symlink_to(entry)
    part, features = _part(target)
    count = target.fast.count
    words = [BASE, *(said for name, said in FEATURES.items() if name in features)]
    variant = VARIANTS.get(target.fast.cpu, 0)
    block = _cpuinfo(part, variant, " ".join(words))
    files = {Path("proc/cpuinfo"): "\n".join(f"processor\t: {k}\n{block}" for k in range(count))}
    for name in ("possible", "present", "online"):
        files[CPUS / name] = f"0-{count - 1}" if count > 1 else "0"
    for k in range(count):
        files |= {
            CPUS / f"cpu{k}" / name: text for name, text in _core(target, part, variant).items()
        }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"{text}\n")
    return folder


def _part(target: Target) -> tuple[tuple[int, int], frozenset[str]]:
    """Implementer and part number of the fast cores, and LLVM's names of what they can do."""
    name = target.fast.cpu
    part = next((one for one, cpu in ARM_CPUS.items() if cpu.name == name), (0, 0))
    features = ARM_CPUS[part].features if part in ARM_CPUS else frozenset()
    return part, features | {one.removeprefix("+") for one in target.mattr if one.startswith("+")}


def _cpuinfo(part: tuple[int, int], variant: int, features: str) -> str:
    return (
        f"BogoMIPS\t: 48.00\nFeatures\t: {features}\nCPU implementer\t: {part[0]:#04x}\n"
        f"CPU architecture: 8\nCPU variant\t: {variant:#x}\nCPU part\t: {part[1]:#05x}\nCPU revision\t: 4\n"
    )


def _core(target: Target, part: tuple[int, int], variant: int) -> dict[str, str]:
    midr = part[0] << 24 | variant << 20 | 0xF << 16 | part[1] << 4 | 4
    khz = round((target.fast.clock_ghz or 1.0) * 1e6)
    return {
        "regs/identification/midr_el1": f"{midr:#018x}",
        "cpufreq/cpuinfo_max_freq": str(khz),
        "cpufreq/scaling_max_freq": str(khz),
        "cpufreq/cpuinfo_min_freq": str(khz),
        "topology/core_siblings_list": f"0-{target.fast.count - 1}",
        "topology/physical_package_id": "0",
    }
