# SPDX-License-Identifier: Apache-2.0
"""Instructions that whole programs have and kernels do not: atomic and exclusive accesses, cache lines
zeroed, checksums and ciphers, what is asked of the system.

Takes a `Line`; gives the parts that the core model prices it as.
"""

import re

from mnc.compile.simulator.decoders.aarch64.operands import SP, Integer, Memory, Vector, parse
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.isa.instructions import Class, Flag, Instruction, Line

LINE_BYTES, WIDTH = 64, 16
_ATOMIC = re.compile(
    r"(?:(casp?)|swp|(?:ld|st)(?:add|clr|eor|set|[su]max|[su]min))(?:a|l|al)?[bh]?"
)
_EXCLUSIVE = re.compile(r"(ld|st)(?:[al]?x[rp]|apr)[bh]?")
# Priced as what takes about as long by the Cortex-A76's guide: a cipher's round 2 cycles, a hash's steps 4, a
# checksum a place of the multiplier.
_ARITHMETIC = (
    (re.compile(r"crc32c?[bhwx]"), Class.MUL),
    (re.compile(r"cls|rev16|rev32|setf8|setf16|cfinv|rmif"), Class.INT),
    (re.compile(r"aes(e|d|mc|imc)|sha1(h|su0)|sha(256|512)su0|eor3|bcax|rax1|xar"), Class.VEC_INT),
    (re.compile(r"sha1([cmp]|su1)|sha(256|512)(h2?|su1)"), Class.VEC_MUL),
    (re.compile(r"fcvtxn2?|fjcvtzs|urecpe"), Class.FP_CONVERT),
)
_READS_FIRST = ("aese", "aesd", "sha")  # beginnings of what has its result in a factor
# What these cost is the kernel's or the clock's, not the program's: no more than a place at dispatch.
_SYSTEM = frozenset(("mrs", "msr", "svc", "clrex", "sev", "sevl"))


def decode(line: Line) -> tuple[Instruction, ...]:
    """Its parts; none for any other instruction."""
    if line.mnemonic in _SYSTEM:
        return (Instruction(Class.NOP),)
    if line.mnemonic == "dc":
        return (_upkeep(line),)
    if match := _ATOMIC.fullmatch(line.mnemonic):
        values, base = _operands(line)
        read = values[:1] if match[1] else values[1:2]
        return (_load(read, base), _store(values[:1], base, flags=Flag.CONTINUES))
    if match := _EXCLUSIVE.fullmatch(line.mnemonic):
        values, base = _operands(line)
        if match[1] == "ld":
            return (_load(values, base),)
        return (_store(values[1:], base, status=values[:1]),)
    kinds = (cls for pattern, cls in _ARITHMETIC if pattern.fullmatch(line.mnemonic))
    return tuple(_arithmetic(line, cls) for cls in kinds)


def _arithmetic(line: Line, cls: Class) -> Instruction:
    draft = Draft(cls)
    registers = [one for one in parse(line.operands) if isinstance(one, Integer | Vector)]
    for place, one in enumerate(registers):
        reads = place > 0 or line.mnemonic.startswith(_READS_FIRST)
        if isinstance(one, Vector):
            draft.width = WIDTH
            (draft.read_vector if reads else draft.write_vector)(one.number)
        else:
            (draft.read if reads else draft.write)(one.number)
    if registers and isinstance(registers[0], Vector):
        draft.write_vector(registers[0].number)
    return draft.finish()


def _upkeep(line: Line) -> Instruction:
    """`dc zva` writes a whole line, 16 bytes at a time; what another `dc` does to caches is not modelled. The
    emulator tells no address, so replay.c takes the line for one in L1.
    """
    if not line.operands.startswith("zva"):
        return Instruction(Class.NOP)
    draft = Draft(Class.STORE_VEC)
    draft.address(*_operands(line)[0], stack_pointer=SP)
    draft.width, draft.stores = WIDTH, LINE_BYTES // WIDTH
    return draft.finish()


def _load(into: list[int], base: int) -> Instruction:
    draft = Draft(Class.LOAD_INT)
    draft.address(base, stack_pointer=SP)
    draft.write(*into)
    draft.loads = 1
    return draft.finish()


def _store(
    of: list[int], base: int, *, status: list[int] | None = None, flags: int = 0
) -> Instruction:
    draft = Draft(Class.STORE_INT)
    draft.read(*of)
    draft.address(base, stack_pointer=SP)
    draft.write(*(status or ()))
    draft.stores, draft.flags = 1, draft.flags | flags
    return draft.finish()


def _operands(line: Line) -> tuple[list[int], int]:
    """Integer registers in order, and the base of the address: SP where there is none."""
    found = parse(line.operands)
    values = [one.number for one in found if isinstance(one, Integer)]
    return values, next((one.base for one in found if isinstance(one, Memory)), SP)
