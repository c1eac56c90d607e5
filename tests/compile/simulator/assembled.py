# SPDX-License-Identifier: Apache-2.0
"""Machine code of instructions that are given as text, read back by the decoders.

Takes lines of assembly; gives the `Instruction`s that decoding makes of the assembled bytes.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from mnc.compile.simulator import program
from mnc.compile.simulator.decoders.disassembly import disassemble
from mnc.compile.simulator.isa.instructions import Instruction
from mnc.compile.simulator.loader import object_file
from mnc.compile.toolchain.zig import zig

# Compiler's target, and what lets its assembler take everything that a core may have.
ASSEMBLERS = {
    "aarch64": (
        "aarch64-linux-gnu",
        ".arch armv8.6-a+dotprod+i8mm+bf16+fp16+fp16fml+rdm",
    ),
    "arm": ("arm-linux-gnueabihf", ".syntax unified"),
    "x86_64": ("x86_64-linux-gnu", ".intel_syntax noprefix"),
}
FLAGS = {"aarch64": (), "arm": ("-mcpu=cortex_a76",), "x86_64": ()}


def assembled(arch: str, lines: Sequence[str], folder: Path) -> list[tuple[Instruction, ...]]:
    """The parts of each instruction, one after another."""
    triple, directive = ASSEMBLERS[arch]
    source, target = folder / "code.s", folder / "code.o"
    source.write_text("\n".join([".text", directive, *lines, ""]))
    command = [*zig("cc"), "-target", triple, *FLAGS[arch], "-c", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    sections = object_file.read(target.read_bytes()).sections
    (code,) = (one.data for one in sections if one.executable and one.data)
    decode = program.DECODERS[arch].decode
    return [decode(line) for line in disassemble(code, 0x1000, arch)]
