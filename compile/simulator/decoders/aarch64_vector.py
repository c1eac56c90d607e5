# SPDX-License-Identifier: Apache-2.0
"""AArch64 floating-point and vector arithmetic to `Instruction`s: classes and registers for timing.

Takes a mnemonic and its operands; gives the instruction, or None for what works on integer registers. Values
are followed where addresses may go through vector registers (moves, constants, integer lanes); the result of
anything else is unknown to the interpreter, which refuses to make an address or a branch of it.
"""

from collections.abc import Callable

from mnc.compile.simulator.decoders.aarch64_memory import integer_write
from mnc.compile.simulator.decoders.aarch64_operands import (
    Integer,
    Number,
    Operand,
    Vector,
    VectorList,
)
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Flag, Instruction
from mnc.compile.simulator.isa.micro_ops import Op

Operands = tuple[Operand, ...]

# Priced, not computed. The accumulator of a scalar multiply-add is its last operand, of a vector its first.
_FMA = frozenset("fmla fmls bfdot bfmmla".split())
_FMA_SCALAR = frozenset("fmadd fmsub fnmadd fnmsub".split())
_FP_ADD = frozenset(
    "fadd fsub fabd faddp fcvt fcvtl fcvtl2 fcvtn fcvtn2 frinta frinti frintm frintn frintp frintx "
    "frintz scvtf ucvtf fcvtzs fcvtzu fcvtms fcvtns fcvtas fcvtps".split()
)
_FP_MUL = frozenset("fmul fmulx fnmul frecps frsqrts".split())
_FP_CMP = frozenset(
    "fmax fmin fmaxnm fminnm fmaxp fminp fmaxnmp fminnmp fmaxv fminv fmaxnmv fminnmv "
    "fcmeq fcmge fcmgt fcmle fcmlt facge facgt fabs fneg fcsel".split()
)
_FP_DIVIDE = frozenset("fdiv fsqrt frecpe frsqrte".split())
_PERMUTE = frozenset(
    "ext zip1 zip2 uzp1 uzp2 trn1 trn2 tbl tbx rev64 rev32 rev16 ins dup xtn xtn2 uqxtn sqxtn".split()
)
_VECTOR_INTEGER = frozenset(
    "abs neg mla mls smull smull2 umull umull2 smlal smlal2 umlal umlal2 sadalp uadalp saddlv uaddlv "
    "addp addv saddl uaddl saddl2 uaddl2 saddw uaddw smax smin umax umin smaxv sminv umaxv uminv smaxp "
    "sminp umaxp uminp cmeq cmge cmgt cmle cmlt cmhi cmhs cmtst bsl bit bif bic orn mvn not cnt clz sshr "
    "ushr sshl ushl ssra usra sqadd uqadd sqsub uqsub sqxtun srshr urshr sli sri shll rbit mvni sabd uabd "
    "sdot udot and orr eor add sub mul shl sshll sshll2 ushll ushll2 sxtl sxtl2 uxtl uxtl2 movi".split()
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
_LANES = {"add": Op.V_ADD, "sub": Op.V_SUB, "mul": Op.V_MUL, "bic": Op.V_BIC}
_BITS = {"and": Op.V_AND, "orr": Op.V_OR, "eor": Op.V_XOR}
_COMPARE = {
    "cmeq": Op.V_EQUAL,
    "cmgt": Op.V_GREATER_S,
    "cmge": Op.V_NOT_LESS_S,
    "cmhi": Op.V_GREATER_U,
    "cmhs": Op.V_NOT_LESS_U,
    "umax": Op.V_MAX_U,
    "umin": Op.V_MIN_U,
}
_COMPARE_SWAPPED = {"cmlt": Op.V_GREATER_S, "cmle": Op.V_NOT_LESS_S}
_ACROSS = {"umaxv": Op.V_MAX_ACROSS, "uminv": Op.V_MIN_ACROSS, "addv": Op.V_ADD_ACROSS}
_SCRATCH = 63  # no AArch64 vector register
# Which lane of the first register, then the second, comes to each place, of so many.
_PICKS: dict[str, Callable[[int, int], int]] = {
    "uzp1": lambda i, n: 2 * i,
    "uzp2": lambda i, n: 2 * i + 1,
    "zip1": lambda i, n: i // 2 + n * (i % 2),
    "zip2": lambda i, n: n // 2 + i // 2 + n * (i % 2),
    "trn1": lambda i, n: i - i % 2 + n * (i % 2),
    "trn2": lambda i, n: i - i % 2 + 1 + n * (i % 2),
    "ext": lambda i, n: i,
}
_SHIFTS = {"shl": Op.V_SHL, "sshr": Op.V_SAR, "ushr": Op.V_SHR}
_WIDEN = {"sxtl": Op.V_WIDEN_S, "sshll": Op.V_WIDEN_S, "uxtl": Op.V_WIDEN_U, "ushll": Op.V_WIDEN_U}
# Their first operand is read as well as written.
_READ_WRITE = frozenset(
    "fmla fmls bfdot bfmmla mla mls smlal smlal2 umlal umlal2 sadalp uadalp bsl bit bif ins ssra usra "
    "sli sri sdot udot xtn2 fcvtn2 tbx".split()
)
_FLOPS = {Class.FMA: 2, Class.FP_ADD: 1, Class.FP_MUL: 1}


def decode(mnemonic: str, operands: Operands) -> Instruction | None:
    """None when no operand is a vector register or the mnemonic is not about them."""
    if not any(isinstance(one, Vector | VectorList) for one in operands):
        return None
    if mnemonic in ("mov", "fmov", "umov", "smov"):
        return _move(mnemonic, operands)
    if mnemonic in ("fcmp", "fcmpe", "fccmp"):
        return _compare(operands)
    cls = _CLASSES.get(mnemonic)
    return None if cls is None else _of_class(cls, mnemonic, operands)


def _of_class(cls: Class, mnemonic: str, operands: Operands) -> Instruction:
    if isinstance(operands[0], Integer):
        return _to_integer(operands)
    if any(isinstance(one, Integer) for one in operands[1:]):
        return _from_integer(mnemonic, operands)
    return _arithmetic(cls, mnemonic, operands)


def _arithmetic(cls: Class, mnemonic: str, operands: Operands) -> Instruction:
    draft = Draft(cls)
    first, rest = operands[0], operands[1:]
    assert isinstance(first, Vector)
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
    if cls == Class.FMA:
        accumulator = first.number if mnemonic in _FMA else sources[-1]
        draft.accumulator = accumulator + 32
    if mnemonic == "fcsel":
        draft.read(FLAGS)
    if not _pick_lanes(draft, mnemonic, operands) and not _follow(draft, mnemonic, operands):
        draft.emit(Op.V_UNKNOWN, dst=first.number)
    return draft.finish()


def _pick_lanes(draft: Draft, mnemonic: str, operands: Operands) -> bool:
    """Lanes of two registers one after another, put together anew; False for what is no such thing."""
    target, vectors = operands[0], [one for one in operands[1:] if isinstance(one, Vector)]
    if mnemonic not in _PICKS or len(vectors) != 2 or not isinstance(target, Vector):
        return False
    numbers = [one.value for one in operands if isinstance(one, Number)]
    size, lanes = target.lane_bytes, target.bytes // target.lane_bytes
    draft.emit(Op.V_FILL, size=size, dst=_SCRATCH, c=target.bytes)
    for lane in range(lanes):
        picked = _PICKS[mnemonic](lane, lanes) + (numbers[0] if mnemonic == "ext" else 0)
        source = vectors[picked // lanes].number
        at = picked % lanes
        draft.emit(Op.V_SET_LANE, size=size, dst=_SCRATCH, a=source, shift=lane, imm=at)
    draft.emit(Op.V_MOVE, dst=target.number, a=_SCRATCH, c=target.bytes)
    return True


def _follow(draft: Draft, mnemonic: str, operands: Operands) -> bool:
    """Emit what calculates the value where that is simple; False where it is not followed."""
    first, rest = operands[0], operands[1:]
    assert isinstance(first, Vector)
    number, lane, total = first.number, first.lane_bytes, first.bytes
    vectors = [one for one in rest if isinstance(one, Vector)]
    numbers = [one.value for one in rest if isinstance(one, Number)]
    if mnemonic == "movi" and len(operands) == 2:
        mask = (1 << 8 * lane) - 1
        value = numbers[0] & mask
        draft.emit(Op.V_FILL, size=lane, dst=number, c=total, imm=_signed64(value))
    elif mnemonic in _LANES | _BITS and len(vectors) == 2 and vectors[1].lane is None:
        op = (_LANES | _BITS)[mnemonic]
        draft.emit(op, size=lane, dst=number, a=vectors[0].number, b=vectors[1].number, c=total)
    elif mnemonic in _COMPARE | _COMPARE_SWAPPED and vectors[0].lane is None:
        _compare_lanes(draft, mnemonic, first, [one.number for one in vectors], numbers)
    elif mnemonic in _ACROSS:
        whole = vectors[0]
        draft.emit(_ACROSS[mnemonic], size=lane, dst=number, a=whole.number, c=whole.bytes)
    elif mnemonic == "xtn":
        draft.emit(Op.V_NARROW, size=lane, dst=number, a=vectors[0].number, c=total)
    elif mnemonic in _SHIFTS and numbers:
        op = _SHIFTS[mnemonic]
        draft.emit(op, size=lane, dst=number, a=vectors[0].number, c=total, imm=numbers[0])
    elif mnemonic in _WIDEN:
        source, by = vectors[0].number, numbers[0] if numbers else 0
        draft.emit(_WIDEN[mnemonic], size=lane, dst=number, a=source, c=total)
        if by:
            draft.emit(Op.V_SHL, size=lane, dst=number, a=number, c=total, imm=by)
    elif mnemonic == "dup" and vectors and vectors[0].lane is not None:
        source, at = vectors[0].number, vectors[0].lane
        draft.emit(Op.V_DUP_LANE, size=lane, dst=number, a=source, c=total, shift=at)
    else:
        return False
    return True


def _compare_lanes(
    draft: Draft, mnemonic: str, first: Vector, vectors: list[int], numbers: list[int]
) -> None:
    """Two registers, or a register and a constant (zero)."""
    if len(vectors) < 2:
        fill = {"size": first.lane_bytes, "c": first.bytes, "imm": _signed64(numbers[0])}
        draft.emit(Op.V_FILL, dst=_SCRATCH, **fill)
        vectors = [*vectors, _SCRATCH]
    swapped = mnemonic in _COMPARE_SWAPPED
    a, b = reversed(vectors) if swapped else vectors
    op = (_COMPARE_SWAPPED if swapped else _COMPARE)[mnemonic]
    draft.emit(op, size=first.lane_bytes, dst=first.number, a=a, b=b, c=first.bytes)


def _signed64(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _move(mnemonic: str, operands: Operands) -> Instruction:
    target, source = operands[:2]
    if isinstance(target, Integer) and isinstance(source, Vector):
        return _get_lane(mnemonic, target, source)
    assert isinstance(target, Vector)
    if isinstance(source, Integer):
        return _set_lane(target, source)
    if not isinstance(source, Vector):
        return _constant(target)
    if target.lane is not None or source.lane is not None:
        return _lane_to_lane(target, source)
    draft = Draft(Class.VEC_MOVE)
    draft.width = target.bytes
    draft.read_vector(source.number)
    draft.write_vector(target.number)
    draft.emit(Op.V_MOVE, dst=target.number, a=source.number, c=target.bytes)
    return draft.finish()


def _constant(target: Vector) -> Instruction:
    """A floating-point constant."""
    draft = Draft(Class.VEC_MOVE)
    draft.width = target.bytes
    draft.write_vector(target.number)
    draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()


def _get_lane(mnemonic: str, target: Integer, source: Vector) -> Instruction:
    draft = Draft(Class.VEC_TO_INT)
    draft.width = source.bytes
    draft.read_vector(source.number)
    to, lane = integer_write(draft, target), source.lane or 0
    size = source.lane_bytes
    if mnemonic == "smov":
        draft.emit(Op.V_GET_S, size=size, dst=to, a=source.number, shift=lane, c=target.size)
    else:
        draft.emit(Op.V_GET, size=size, dst=to, a=source.number, shift=lane)
    return draft.finish()


def _set_lane(target: Vector, source: Integer) -> Instruction:
    draft = Draft(Class.INT_TO_VEC)
    draft.width = target.bytes
    draft.read(source.number)
    size = target.lane_bytes
    if target.lane is None:
        draft.emit(Op.V_DUP, size=size, dst=target.number, a=source.number, c=size)
    else:
        draft.read_vector(target.number)
        draft.emit(Op.V_SET, size=size, dst=target.number, a=source.number, shift=target.lane)
    draft.write_vector(target.number)
    return draft.finish()


def _lane_to_lane(target: Vector, source: Vector) -> Instruction:
    draft = Draft(Class.VEC_PERMUTE)
    draft.width, size = 16, target.lane_bytes
    draft.read_vector(source.number)
    at, number = source.lane or 0, target.number
    if target.lane is None:  # a scalar: the rest becomes zero
        draft.emit(Op.V_DUP_LANE, size=size, dst=number, a=source.number, c=size, shift=at)
    else:
        draft.read_vector(number)
        draft.emit(Op.V_SET_LANE, size=size, dst=number, a=source.number, shift=target.lane, imm=at)
    draft.write_vector(number)
    return draft.finish()


def _compare(operands: Operands) -> Instruction:
    draft = Draft(Class.FP_CMP)
    vectors = [one for one in operands if isinstance(one, Vector)]
    draft.width = vectors[0].bytes
    draft.read_vector(*(one.number for one in vectors))
    draft.write(FLAGS)
    draft.emit(Op.FLAGS_UNKNOWN)
    return draft.finish()


def _to_integer(operands: Operands) -> Instruction:
    """A conversion from floating point: an integer that cannot be known."""
    target, source = operands[:2]
    if not isinstance(source, Vector) or not isinstance(target, Integer):
        raise SimulationError("an integer from vectors in a way that is not known")
    draft = Draft(Class.VEC_TO_INT)
    draft.width = source.bytes
    draft.read_vector(source.number)
    draft.emit(Op.V_UNKNOWN, dst=_SCRATCH)
    draft.emit(Op.V_GET, size=target.size, dst=integer_write(draft, target), a=_SCRATCH)
    return draft.finish()


def _from_integer(mnemonic: str, operands: Operands) -> Instruction:
    """dup, ins, and conversions of an integer register."""
    target, source = operands[:2]
    if not isinstance(target, Vector) or not isinstance(source, Integer):
        raise SimulationError("a vector from integers in a way that is not known")
    if mnemonic == "ins":
        return _set_lane(target, source)
    draft = Draft(Class.INT_TO_VEC)
    draft.width = target.bytes
    draft.read(source.number)
    draft.write_vector(target.number)
    if mnemonic == "dup":
        size, total = target.lane_bytes, target.bytes
        draft.emit(Op.V_DUP, size=size, dst=target.number, a=source.number, c=total)
    else:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()
