# SPDX-License-Identifier: Apache-2.0
"""x86-64: a disassembled instruction to an `Instruction`.

Takes a `Line` in Intel syntax; gives what the interpreter does and what timing must know. The carry is kept
inverted, as ARM has it after a subtraction: "below" is CC.
"""

import functools
import re

from mnc.compile.simulator.decoders.refusal import naming_refusals
from mnc.compile.simulator.decoders.x86 import arithmetic, bits, control, moves, products, vectors
from mnc.compile.simulator.decoders.x86.control import RAX
from mnc.compile.simulator.decoders.x86.operands import RSP
from mnc.compile.simulator.isa.instructions import Abi, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import Condition

ABI = Abi(arguments=(7, 6, 2, 1, 8, 9), result=RAX, stack_pointer=RSP, link=None, pointer_bytes=8)
_CONDITIONS = {
    **dict.fromkeys(("e", "z"), Condition.EQ),
    **dict.fromkeys(("ne", "nz"), Condition.NE),
    **dict.fromkeys(("b", "c", "nae"), Condition.CC),
    **dict.fromkeys(("ae", "nc", "nb"), Condition.CS),
    **dict.fromkeys(("a", "nbe"), Condition.HI),
    **dict.fromkeys(("be", "na"), Condition.LS),
    **dict.fromkeys(("l", "nge"), Condition.LT),
    **dict.fromkeys(("ge", "nl"), Condition.GE),
    **dict.fromkeys(("g", "nle"), Condition.GT),
    **dict.fromkeys(("le", "ng"), Condition.LE),
    "s": Condition.MI,
    "ns": Condition.PL,
    "o": Condition.VS,
    "no": Condition.VC,
}
_ON_CONDITION = re.compile(rf"(j|cmov|set)({'|'.join(_CONDITIONS)})$")
_BY_CONDITION = {"j": control.branch_if, "cmov": moves.select, "set": moves.set_byte}
_HANDLERS = (
    arithmetic.HANDLERS | bits.HANDLERS | products.HANDLERS | moves.HANDLERS | control.HANDLERS
)


@naming_refusals("x86-64")
def decode(line: Line) -> tuple[Instruction, ...]:
    """The parts of one instruction. SimulationError names one that is not known."""
    if line.mnemonic == "call" or "rip" in line.operands:  # where it stands matters
        return (_decode(line),)
    return (_decoded_anywhere(line.mnemonic, line.operands),)


@functools.lru_cache(maxsize=1 << 16)
def _decoded_anywhere(mnemonic: str, operands: str) -> Instruction:
    # Kernels of one search have most of their instructions in common.
    return _decode(Line(0, 0, mnemonic, operands))


def _decode(line: Line) -> Instruction:
    name = line.mnemonic
    if name in _HANDLERS:
        return _HANDLERS[name](line)
    if match := _ON_CONDITION.match(name):
        return _BY_CONDITION[match[1]](line, _CONDITIONS[match[2]])
    return vectors.decode(line)
