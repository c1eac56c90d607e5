# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM: a disassembled instruction to `Instruction`s.

Takes a `Line` as LLVM prints it (unified syntax, no Thumb); gives what the interpreter does and what timing
must know.
"""

from mnc.compile.simulator.decoders.arm import control, integers, memory, products, vectors
from mnc.compile.simulator.decoders.arm.operands import LR, SP, name_of
from mnc.compile.simulator.decoders.refusal import naming_refusals
from mnc.compile.simulator.isa.instructions import Abi, Instruction, Line

# The packed function's last two arguments are on the stack; no kernel reads them.
ABI = Abi(arguments=(0, 1, 2, 3), result=0, stack_pointer=SP, link=LR, pointer_bytes=4)
_HANDLERS = integers.HANDLERS | products.HANDLERS | control.HANDLERS


@naming_refusals("ARM")
def decode(line: Line) -> tuple[Instruction, ...]:
    """The parts of one instruction. SimulationError names one that is not known."""
    name = name_of(line.mnemonic)
    if name.stem.startswith("v"):
        return vectors.decode(line, name)
    if name.stem in memory.HANDLERS:
        return memory.HANDLERS[name.stem](line, name)
    return (_HANDLERS[name.stem](line, name),)
