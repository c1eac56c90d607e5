# SPDX-License-Identifier: Apache-2.0
"""AArch64: a disassembled instruction to an `Instruction`.

Takes a `Line` as LLVM prints it; gives what the interpreter does and what timing must know.
"""

import functools

from mnc.compile.simulator.decoders.aarch64 import (
    bits,
    control,
    integers,
    memory,
    products,
    selections,
    vectors,
)
from mnc.compile.simulator.decoders.aarch64.operands import LINK, SP, parse
from mnc.compile.simulator.decoders.refusal import naming_refusals
from mnc.compile.simulator.isa.instructions import Abi, Class, Instruction, Line

ABI = Abi(arguments=(0, 1, 2, 3, 4, 5), result=0, stack_pointer=SP, link=LINK, pointer_bytes=8)
_NOTHING = frozenset(
    "nop hint bti paciasp autiasp pacibsp autibsp dmb dsb isb yield brk udf csdb".split()
)
_HANDLERS = integers.HANDLERS | products.HANDLERS | bits.HANDLERS | selections.HANDLERS


@naming_refusals("AArch64")
def decode(line: Line) -> tuple[Instruction, ...]:
    """The parts of one instruction. SimulationError names one that is not known."""
    if control.depends_on_place(line.mnemonic):
        return (control.decode(line),)
    return _decode(line.mnemonic, line.operands)


@functools.lru_cache(maxsize=16384)
def _decode(mnemonic: str, text: str) -> tuple[Instruction, ...]:
    operands = parse(text)
    if mnemonic in _NOTHING:
        return (Instruction(Class.NOP),)
    if (vector := vectors.decode(mnemonic, operands)) is not None:
        return (vector,)
    if parts := memory.decode(mnemonic, operands):
        return parts
    return (_HANDLERS[mnemonic](mnemonic, operands),)
