# SPDX-License-Identifier: Apache-2.0
"""AArch64 floating-point and vector arithmetic to `Instruction`s: classes and registers for timing.

Takes a mnemonic and its operands; gives the instruction, or None for what works on integer registers. Values
are followed where addresses may go through vector registers (moves, constants, integer lanes); the result of
anything else is unknown to the interpreter, which refuses to make an address or a branch of it.
"""

from mnc.compile.simulator.decoders.aarch64 import vector_integers
from mnc.compile.simulator.decoders.aarch64.lanes import follow, pick_lanes
from mnc.compile.simulator.decoders.aarch64.operands import (
    Integer,
    Number,
    Vector,
    VectorList,
)
from mnc.compile.simulator.decoders.aarch64.values import Operands
from mnc.compile.simulator.decoders.aarch64.vector_moves import from_integer, move, to_integer
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import FIRST_VECTOR, FLAGS, Class, Flag, Instruction
from mnc.compile.simulator.isa.micro_ops import Op

HALF = 2  # bytes of a number in half precision
# Priced, not computed. The accumulator of a scalar multiply-add is its last operand, of a vector its first.
_FMA = frozenset("fmla fmls bfdot bfmmla fmlal fmlal2 fmlsl fmlsl2 bfmlalb bfmlalt".split())
_FMA_SCALAR = frozenset("fmadd fmsub fnmadd fnmsub".split())
_FP_ADD = frozenset(
    "fadd fsub fabd faddp fcvt fcvtl fcvtl2 fcvtn fcvtn2 frinta frinti frintm frintn frintp frintx "
    "frintz fcvtzs fcvtzu fcvtms fcvtmu fcvtps fcvtpu".split()
)
_FROM_HALF = frozenset(one for one in _FP_ADD if one.startswith("fcvt"))
_FP_MUL = frozenset("fmul fmulx fnmul frecps frsqrts".split())
_FP_CMP = frozenset(
    "fmax fmin fmaxnm fminnm fmaxp fminp fmaxnmp fminnmp fmaxv fminv fmaxnmv fminnmv "
    "fcmeq fcmge fcmgt fcmle fcmlt facge facgt fabs fneg fcsel".split()
)
_FP_DIVIDE = frozenset("fdiv fsqrt frecpe frsqrte".split())
_PERMUTE = frozenset("ext trn1 trn2 rev64 rev32 rev16 ins dup xtn xtn2".split())
_VECTOR_INTEGER = frozenset(
    "abs neg saddlv uaddlv addp addv smax smin umax umin smaxv sminv umaxv uminv smaxp sminp umaxp uminp "
    "cmeq cmge cmgt cmle cmlt cmhi cmhs cmtst bsl bit bif bic orn mvn not cnt clz rbit mvni sabd uabd and "
    "orr eor add sub movi".split()
)
_CLASSES = {
    **dict.fromkeys(_FMA | _FMA_SCALAR, Class.FMA),
    **dict.fromkeys(_FP_ADD, Class.FP_ADD),
    **dict.fromkeys(_FP_MUL, Class.FP_MUL),
    **dict.fromkeys(_FP_CMP, Class.FP_CMP),
    **dict.fromkeys(_FP_DIVIDE, Class.FP_DIV_SQRT),
    **dict.fromkeys(_PERMUTE, Class.VEC_PERMUTE),
    **dict.fromkeys(_VECTOR_INTEGER, Class.VEC_INT),
}
# Their first operand is read as well as written.
_READ_WRITE = (_FMA | vector_integers.ADDED_TO | vector_integers.KEPT) | frozenset(
    "bsl bit bif ins xtn2 fcvtn2 tbx".split()
)
_FLOPS = {Class.FMA: 2, Class.FP_ADD: 1, Class.FP_MUL: 1}


def decode(mnemonic: str, operands: Operands) -> Instruction | None:
    """None when no operand is a vector register or the mnemonic is not about them."""
    if not any(isinstance(one, Vector | VectorList) for one in operands):
        return None
    if mnemonic in ("mov", "fmov", "umov", "smov"):
        return move(mnemonic, operands)
    if mnemonic in ("fcmp", "fcmpe", "fccmp"):
        return _compare(operands)
    cls = _class(mnemonic, operands)
    return None if cls is None else _of_class(cls, mnemonic, operands)


def _class(mnemonic: str, operands: Operands) -> Class | None:
    """From and to half precision float32 kernels convert nothing, and what they have costs what it did."""
    halves = any(isinstance(one, Vector) and one.lane_bytes == HALF for one in operands)
    if mnemonic in _FROM_HALF and halves:
        return Class.FP_CONVERT
    return vector_integers.class_of(mnemonic, operands) or _CLASSES.get(mnemonic)


def _of_class(cls: Class, mnemonic: str, operands: Operands) -> Instruction:
    if isinstance(operands[0], Integer):
        return to_integer(operands)
    if any(isinstance(one, Integer) for one in operands[1:]):
        return from_integer(mnemonic, operands)
    return _arithmetic(cls, mnemonic, operands)


def _arithmetic(cls: Class, mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(cls)
    first, rest = expect(Vector, operands[0]), operands[1:]
    draft.width = max(one.bytes for one in operands if isinstance(one, Vector) and one.lane is None)
    sources = [one.number for one in rest if isinstance(one, Vector)]
    for one in rest:
        if isinstance(one, VectorList):
            sources += [vector.number for vector in one.vectors]
        if isinstance(one, Vector) and one.lane is not None and cls in (Class.FMA, Class.FP_MUL):
            draft.flags |= Flag.BY_ELEMENT
    lane_write = first.lane is not None
    if mnemonic in _READ_WRITE or lane_write:
        sources.insert(0, first.number)
    if mnemonic in ("orr", "bic") and any(isinstance(one, Number) for one in rest):
        sources.insert(0, first.number)  # of an immediate, in place
    draft.read_vector(*sources)
    draft.write_vector(first.number)
    draft.flops = _FLOPS.get(cls, 0) * (first.bytes // first.lane_bytes)
    draft.flops += vector_integers.operations(mnemonic, first)
    if cls == Class.FMA:
        accumulator = first.number if mnemonic in _FMA else sources[-1]
        draft.accumulator = accumulator + FIRST_VECTOR
    if mnemonic in vector_integers.ADDED_TO and first.number not in sources[1:]:
        draft.accumulator = first.number + FIRST_VECTOR
    if mnemonic == "fcsel":
        draft.read(FLAGS)
    if not pick_lanes(draft, mnemonic, operands) and not follow(draft, mnemonic, operands):
        draft.emit(Op.V_UNKNOWN, dst=first.number)
    return draft.finish()


def _compare(operands: Operands) -> Instruction:
    draft = Draft(Class.FP_CMP)
    vectors = [one for one in operands if isinstance(one, Vector)]
    draft.width = vectors[0].bytes
    draft.read_vector(*(one.number for one in vectors))
    draft.write(FLAGS)
    draft.emit(Op.FLAGS_UNKNOWN)
    return draft.finish()
