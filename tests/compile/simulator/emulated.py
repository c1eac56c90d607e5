# SPDX-License-Identifier: Apache-2.0
"""The truth about an AArch64 kernel: its own memory image run by qemu, one instruction at a time.

Takes a `Kernel`; gives every instruction qemu executed with the registers before it. The image lies at its
own addresses, so that registers must be the interpreter's to the bit.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mnc.compile.rpc import rootfs
from mnc.compile.simulator.loader import image as images
from mnc.compile.simulator.simulate import Kernel
from mnc.compile.toolchain.zig import zig

HERE = Path(__file__).parent
_REGISTER = re.compile(r"(PC|X\d\d|SP)=([0-9a-f]{16})")


class Step(NamedTuple):
    """One instruction: its address, and x0-x30 and sp before it."""

    address: int
    registers: tuple[int, ...]


def steps(kernel: Kernel, folder: Path, *, threads: int) -> Iterator[Step]:
    """What qemu executes of the kernel's code; `folder` takes files of some megabytes."""
    image = images.build(kernel.code, kernel.arguments)
    stored, log, program = folder / "image", folder / "log", folder / "emulated"
    stored.write_bytes(image.memory[: image.heap - image.base])
    compiler = [*zig("cc"), "-target", "aarch64-linux-musl", "-static"]
    subprocess.run([*compiler, "-O1", "-o", str(program), str(HERE / "emulated.c")], check=True)
    emulator = str(rootfs.emulator("aarch64"))
    traced = f"{image.text_start:#x}..{image.text_end - 1:#x}"
    options = [
        "-cpu",
        "cortex-a72",
        _one_at_a_time(emulator),
        "-d",
        "exec,cpu,nochain",
        "-D",
        str(log),
    ]
    numbers = (image.base, image.magic, image.entry, image.stack, image.heap, image.environment)
    words = [str(number) for number in (*numbers, threads, *image.arguments)]
    command = [emulator, *options, "-dfilter", traced, str(program), str(stored), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "finished\n"), done.stderr
    yield from _read(log)


def _one_at_a_time(emulator: str) -> str:
    """The option as qemu 8.1 and later call it, or as those before do."""
    options = subprocess.run(
        [emulator, "-help"], capture_output=True, text=True, check=False
    ).stdout
    return "-one-insn-per-tb" if "-one-insn-per-tb" in options else "-singlestep"


def _read(log: Path) -> Iterator[Step]:
    """qemu's state before each block of translated code, here of one instruction."""
    found: dict[str, int] = {}
    with log.open() as lines:
        for line in lines:
            found |= {name: int(value, 16) for name, value in _REGISTER.findall(line)}
            if "PSTATE" in line:
                registers = tuple(found[f"X{i:02}"] for i in range(31))
                yield Step(found["PC"], (*registers, found["SP"]))
