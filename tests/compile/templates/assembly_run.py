# SPDX-License-Identifier: Apache-2.0
"""Functions in LLVM's IR, called by a C program on an emulated AArch64: takes both, gives what it prints."""

import subprocess
from pathlib import Path

from mnc.compile.rpc import rootfs
from mnc.compile.toolchain.zig import zig


def lines_of(program: str, functions: list[str], folder: Path, *, cpu: str) -> list[str]:
    """The program's lines; `functions` are private to their module otherwise."""
    (folder / "main.c").write_text(program)
    (folder / "kernels.ll").write_text("\n".join(functions).replace("linkonce_odr ", ""))
    compiler = [*zig("cc"), "-target", "aarch64-linux-musl", f"-mcpu={cpu}", "-O1", "-w"]
    subprocess.run([*compiler, "main.c", "kernels.ll", "-o", "main"], cwd=folder, check=True)
    run = [str(rootfs.root("aarch64").qemu), str(folder / "main")]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()
