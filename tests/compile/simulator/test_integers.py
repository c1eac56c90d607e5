# SPDX-License-Identifier: Apache-2.0
"""Every decoder's integer arithmetic: a program that computes a hash in every way a compiler knows, and fails
when the hash is not what the same C gives natively on this machine.
"""

import ctypes
import platform
import subprocess
from pathlib import Path

import pytest

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.simulate import Kernel, simulate
from mnc.compile.toolchain.zig import zig
from mnc.targets import load

SOURCE = Path(__file__).with_name("integers.c")
SEED = 3  # the number of arguments, which the kernel takes for a seed
BUFFERS = tuple(((4,), "float32", False) for _ in range(SEED))
# Signed overflow wraps: that is part of what is tested.
FLAGS = ("-fwrapv", "-fno-sanitize=all", "-fPIC", "-g0")
CASES = [
    ("x86", "x86_64-linux-gnu", "x86_64", "-O1"),
    ("x86", "x86_64-linux-gnu", "skylake", "-Os"),
    ("x86", "x86_64-linux-gnu", "sapphirerapids", "-O2"),
    ("armv7", "arm-linux-gnueabihf", "cortex_a7", "-O2"),
    ("armv7", "arm-linux-gnueabihf", "cortex_a9", "-Os"),  # divides by library calls
    ("armv7", "arm-linux-gnueabihf", "cortex_a53", "-O1"),
    ("rk3399", "aarch64-linux-gnu", "cortex_a53", "-O2"),
    ("rk3399", "aarch64-linux-gnu", "cortex_a72", "-Os"),
]


def compiled(target: Path, triple: str, *options: str) -> Path:
    command = [*zig("cc"), "-target", triple, *FLAGS, *options]
    subprocess.run([*command, str(SOURCE), "-o", str(target)], check=True)
    return target


def native_hash(folder: Path, *options: str) -> int:
    """What the program gives on this machine's own core."""
    triple = f"{platform.machine()}-linux-gnu"
    library = compiled(folder / "native.so", triple, "-O1", "-shared", "-DEXPECTED=0", *options)
    function = ctypes.CDLL(str(library)).hash
    function.restype = ctypes.c_uint32
    return int(function(SEED))


@pytest.mark.parametrize(("name", "triple", "cpu", "level"), CASES)
def test_the_hash_is_what_it_is_natively(
    name: str, triple: str, cpu: str, level: str, tmp_path: Path
) -> None:
    less = {"armv7": ["-DNARROW"], "rk3399": ["-DNO_COUNT"]}.get(name, [])
    right = native_hash(tmp_path, *less)
    options = (level, f"-mcpu={cpu}", "-c", *less)
    target = load(name)
    code = compiled(tmp_path / "right.o", triple, f"-DEXPECTED={right}u", *options).read_bytes()
    assert simulate(Kernel(code, BUFFERS), target).instructions > 200_000
    wrong = compiled(
        tmp_path / "wrong.o", triple, f"-DEXPECTED={right ^ 1}u", *options
    ).read_bytes()
    with pytest.raises(SimulationError, match="the kernel failed"):
        simulate(Kernel(wrong, BUFFERS), target)
