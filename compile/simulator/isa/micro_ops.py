# SPDX-License-Identifier: Apache-2.0
"""What the interpreter executes: micro-ops on integer and vector registers, for all architectures alike.

Takes nothing; gives `Op`, how operands are modified and conditions held, and `MicroOp`.
"""

from enum import IntEnum, auto
from typing import NamedTuple

# Integer registers of micro-ops only: always zero; written and forgotten; temporaries.
ZERO = 32
SINK = 33
TEMPORARIES = (34, 35, 36, 37, 38, 39)


class Op(IntEnum):
    """Micro-ops. `operand` below is `modify(R[b], shift) + imm`: a register, a shifted one or a constant
    (b = ZERO). `size` is the width of the operation in bytes (4 or 8): the result is cut to it and
    zero-extended. An address is `R[a] + operand`.
    """

    NOP = 0
    MOV = auto()  # dst = operand
    ADD = auto()  # dst = R[a] + operand (lea too)
    SUB = auto()  # dst = R[a] - operand
    RSB = auto()  # dst = operand - R[a]
    ADC = auto()  # dst = R[a] + operand + carry
    SBC = auto()  # dst = R[a] - operand - 1 + carry (carry as ARM has it)
    MUL = auto()  # dst = R[a] * R[b]
    MADD = auto()  # dst = R[c] + R[a] * R[b]
    MSUB = auto()  # dst = R[c] - R[a] * R[b]
    MADD_WIDE_S = auto()  # dst = R[c] + sext32(R[a]) * sext32(R[b]), 64 bits (smaddl)
    MADD_WIDE_U = auto()
    MSUB_WIDE_S = auto()
    MSUB_WIDE_U = auto()
    MULH_S = auto()  # upper half of the product of `size` bytes
    MULH_U = auto()
    DIV_S = auto()  # by zero gives 0
    DIV_U = auto()
    REM_S = auto()
    REM_U = auto()
    AND = auto()
    OR = auto()
    XOR = auto()
    BIC = auto()  # dst = R[a] & ~operand
    ORN = auto()  # dst = R[a] | ~operand (NOT with a = ZERO)
    EON = auto()  # dst = R[a] ^ ~operand
    SHL = auto()  # dst = R[a] << (operand mod width)
    SHR = auto()
    SAR = auto()
    ROR = auto()
    BITS_U = auto()  # dst = (R[a] >> shift) & ones(c): ubfx
    BITS_S = auto()
    BITS_SHL_U = auto()  # dst = (R[a] & ones(c)) << shift: ubfiz
    BITS_SHL_S = auto()
    BITS_INSERT = auto()  # dst[shift + c - 1 : shift] = R[a]: bfi
    BITS_INSERT_LOW = auto()  # dst[c - 1 : 0] = R[a] >> shift: bfxil
    EXTRACT = auto()  # dst = (R[a]:R[b]) >> shift, low `size` bytes
    CLZ = auto()
    CTZ = auto()
    POPCOUNT = auto()
    REVERSE_BITS = auto()
    REVERSE_BYTES = auto()
    SELECT = auto()  # dst = holds(c) ? R[a] : operand
    SELECT_INC = auto()  # dst = holds(c) ? R[a] : operand + 1
    SELECT_INV = auto()  # ... : ~operand
    SELECT_NEG = auto()  # ... : -operand
    FLAGS_ADD = auto()  # N Z C V of R[a] + operand
    FLAGS_SUB = auto()  # of R[a] - operand; carry = no borrow, as ARM has it
    FLAGS_LOGIC = auto()  # of R[a] & operand; C = V = 0
    FLAGS_SUB_IF = auto()  # ccmp: if holds(c) then FLAGS_SUB else N Z C V = dst (bits 3 2 1 0)
    FLAGS_ADD_IF = auto()
    FLAGS_ADC = auto()  # of R[a] + operand + carry
    FLAGS_SBC = auto()  # of R[a] - operand - 1 + carry
    FLAGS_ADD_BORROW = (
        auto()
    )  # of R[a] + operand with the carry inverted, as x86's decoder keeps it
    FLAGS_BORROW = auto()  # C = not bit 0 of R[a]; N Z V stay
    SKIP_UNLESS = auto()  # unless holds(c), leave out the next imm micro-ops (of flags)
    FLAGS_UNKNOWN = auto()  # from floating point: a branch on them is an error
    # Memory. size = bytes of the access.
    LOAD = auto()  # dst = zero-extended
    LOAD_S = auto()  # dst = sign-extended to c bytes (4 or 8)
    STORE = auto()  # R[dst] to memory
    TOUCH_LOAD = auto()  # an access whose data do not matter
    TOUCH_STORE = auto()
    PREFETCH = auto()  # an access to the line, reported as a load of 1 byte; never faults
    V_LOAD = auto()  # V[dst] = size bytes; the rest of the register becomes 0
    V_STORE = auto()  # the first size bytes of V[dst]
    V_LOAD_LANE = auto()  # lane c of `size` bytes of V[dst], the rest stays
    V_STORE_LANE = auto()
    V_LOAD_DUP = auto()  # c bytes of V[dst] filled with copies of `size` bytes; the rest becomes 0
    # Vector registers V[0..63]. size = lane bytes, c = bytes of vector; the rest becomes 0.
    V_MOVE = auto()  # c bytes of V[a]
    V_FILL = auto()  # lanes = imm
    V_DUP = auto()  # lanes = R[a]
    V_DUP_LANE = auto()  # lanes = lane `shift` of V[a]
    V_SET = auto()  # lane `shift` = R[a], the rest stays
    V_SET_LANE = auto()  # lane `shift` of V[dst] = lane `imm` of V[a], the rest stays
    V_GET = auto()  # R[dst] = lane `shift` of V[a], zero-extended
    V_GET_S = auto()  # sign-extended to c bytes
    V_ADD = auto()  # lane by lane
    V_SUB = auto()
    V_MUL = auto()
    V_AND = auto()
    V_OR = auto()
    V_XOR = auto()
    V_BIC = auto()  # V[a] & ~V[b]
    V_EQUAL = auto()  # all ones where V[a] = V[b], else 0
    V_GREATER_S = auto()  # where V[a] > V[b]
    V_GREATER_U = auto()
    V_NOT_LESS_S = auto()  # where V[a] >= V[b]
    V_NOT_LESS_U = auto()
    V_MAX_U = auto()
    V_MIN_U = auto()
    V_MAX_ACROSS = auto()  # lane 0 = the largest lane (unsigned) of V[a]; the rest becomes 0
    V_MIN_ACROSS = auto()
    V_ADD_ACROSS = auto()
    V_SHL = auto()  # by imm
    V_SHR = auto()
    V_SAR = auto()
    V_WIDEN_U = (
        auto()
    )  # lanes of `size` bytes from those of half as many of V[a], from lane `shift` on
    V_WIDEN_S = auto()
    V_NARROW = auto()  # lanes of `size` bytes: the low halves of lanes of V[a]
    V_UNKNOWN = auto()  # V[dst] = the result of arithmetic that is priced, not computed
    # Control. imm = the target's address.
    BRANCH = auto()
    BRANCH_IF = auto()  # holds(c)
    BRANCH_ZERO = auto()  # the low `size` bytes of R[a] are 0
    BRANCH_NONZERO = auto()
    BRANCH_BIT = auto()  # bit `shift` of R[a] equals c
    JUMP = auto()  # to R[a]: returns, calls of registers, imports


class Modify(IntEnum):
    """What is done to R[b] before imm is added. The first seven extend, then shift left by `shift`."""

    LSL = 0
    UXTB = 1
    UXTH = 2
    UXTW = 3
    SXTB = 4
    SXTH = 5
    SXTW = 6
    LSR = 7  # of `size` bytes
    ASR = 8
    ROR = 9


class Condition(IntEnum):
    """ARM's, over N Z C V."""

    EQ = 0
    NE = 1
    CS = 2
    CC = 3
    MI = 4
    PL = 5
    VS = 6
    VC = 7
    HI = 8
    LS = 9
    GE = 10
    LT = 11
    GT = 12
    LE = 13
    AL = 14


class MicroOp(NamedTuple):
    """One step of the interpreter; what the fields mean is said at each `Op`."""

    op: Op
    size: int = 8
    dst: int = SINK
    a: int = ZERO
    b: int = ZERO
    c: int = ZERO
    shift: int = 0
    modify: Modify = Modify.LSL
    imm: int = 0
