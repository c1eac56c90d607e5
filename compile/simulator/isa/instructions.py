# SPDX-License-Identifier: Apache-2.0
"""What decoders turn machine code into: lines of it to `Instruction`s, micro-ops and what timing must know.

Takes nothing; gives the enums and values. One numbering of registers serves all architectures.
"""

from enum import IntEnum, auto
from typing import NamedTuple

from mnc.compile.simulator.isa.micro_ops import MicroOp

# Registers as timing sees them: 0-31 integer, 32-95 vector and mask, 96 flags.
FIRST_VECTOR = 32
FLAGS = 96
NONE = 255

MAX_DST = MAX_SRC = 6


class Class(IntEnum):
    """Timing classes."""

    NOP = 0
    INT = auto()
    SHIFT = auto()
    MUL = auto()
    DIV = auto()
    BRANCH = auto()
    CALL = auto()
    LOAD_INT = auto()
    STORE_INT = auto()
    LOAD_VEC = auto()
    STORE_VEC = auto()
    LOAD_BROADCAST = auto()
    LOAD_LANE = auto()
    FMA = auto()
    FP_ADD = auto()
    FP_MUL = auto()
    FP_CMP = auto()
    FP_DIV_SQRT = auto()
    VEC_MOVE = auto()
    VEC_PERMUTE = auto()
    VEC_INT = auto()
    VEC_TO_INT = auto()
    INT_TO_VEC = auto()
    PREFETCH = auto()
    VEC_MUL = auto()  # integer products as wide as their factors, added up or not
    VEC_MUL_LONG = auto()  # twice as wide
    VEC_DOT = auto()  # sums of four products of bytes, or of two of halves
    VEC_ACCUMULATE = auto()  # what pairs, shifts or differences add to an accumulator
    VEC_SHIFT = auto()
    VEC_SHIFT_BY = auto()  # by the lanes of a register
    VEC_NARROW = auto()  # rounding or saturating shifts and narrowing moves
    VEC_ZIP = auto()  # lanes of a byte or two interleaved, or looked up in a table
    FP_CONVERT = auto()  # from and to integers and half precision
    LOAD_SEVERAL = auto()  # AArch64's ld1 to ld4 of two to four registers
    STORE_SEVERAL = auto()


class Flag(IntEnum):
    """Bits of `Instruction.flags`."""

    ENDS_BLOCK = 1
    CONTINUES = 2
    STACK = 4
    BY_ELEMENT = 8


class Option(IntEnum):
    """Bits of `insn.options`: what a pass over the code found that the interpreter may leave out."""

    TRACK = 1  # not set: nothing comes of what its vectors hold
    TOUCH_ONLY = 2  # of vectors it only needs the accesses to memory


class Instruction(NamedTuple):
    """One machine instruction, or a part of one (Flag.CONTINUES).

    `dst` and `src` are registers as timing sees them, `accumulator` and `base_update` indices into them,
    `first_address` the index in `src` from which registers form the address.
    """

    cls: Class
    micro_ops: tuple[MicroOp, ...] = ()
    dst: tuple[int, ...] = ()
    src: tuple[int, ...] = ()
    width: int = 0
    loads: int = 0
    stores: int = 0
    flops: int = 0
    accumulator: int = NONE
    base_update: int = NONE
    first_address: int = NONE
    flags: int = 0


class Line(NamedTuple):
    """One disassembled instruction: `operands` as text, comments removed; addresses as in the image."""

    address: int
    size: int
    mnemonic: str
    operands: str

    @property
    def text(self) -> str:
        return f"{self.mnemonic} {self.operands}".strip()


class Abi(NamedTuple):
    """How a function is called: argument registers (integer numbering), result, stack pointer, and where the
    return address goes (a register, or None: pushed).
    """

    arguments: tuple[int, ...]
    result: int
    stack_pointer: int
    link: int | None
    pointer_bytes: int
