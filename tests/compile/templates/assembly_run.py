# SPDX-License-Identifier: Apache-2.0
"""Functions in LLVM's IR, called by a C program on an emulated AArch64: takes both, gives what it prints."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from mnc.compile.rpc import rootfs
from mnc.compile.toolchain.zig import zig


def checked(
    harness: str, arguments: Mapping[str, str], functions: list[str], folder: Path, *, cpu: str
) -> list[str]:
    """The lines that `harness` prints of each function: its macro CHECK, given a name and those arguments,
    defines check_NAME(). `functions` are private to their module otherwise.
    """
    checks = [f"CHECK({name}, {words})" for name, words in arguments.items()]
    calls = "".join(f"check_{name}();" for name in arguments)
    program = "\n".join([harness, *checks, f"int main(void) {{ {calls} }}"])
    (folder / "main.c").write_text(program)
    (folder / "kernels.ll").write_text("\n".join(functions).replace("linkonce_odr ", ""))
    compiler = [*zig("cc"), "-target", "aarch64-linux-musl", f"-mcpu={cpu}", "-O1", "-w"]
    subprocess.run([*compiler, "main.c", "kernels.ll", "-o", "main"], cwd=folder, check=True)
    run = [str(rootfs.root("aarch64").qemu), str(folder / "main")]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()
