# SPDX-License-Identifier: Apache-2.0
"""AArch64 vector instructions on integers that are followed: addresses and conditions may come of them.

Takes an instruction in the making; adds the micro-ops that calculate its result, where that is simple.
"""

from collections.abc import Callable

from mnc.compile.simulator.decoders.aarch64.operands import Number, Vector
from mnc.compile.simulator.decoders.aarch64.values import Operands, signed64
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.micro_ops import Op

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
SCRATCH = 63  # no AArch64 vector register
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


def pick_lanes(draft: Draft, mnemonic: str, operands: Operands) -> bool:
    """Lanes of two registers one after another, put together anew; False for what is no such thing."""
    target, vectors = operands[0], [one for one in operands[1:] if isinstance(one, Vector)]
    if mnemonic not in _PICKS or len(vectors) != 2 or not isinstance(target, Vector):
        return False
    numbers = [one.value for one in operands if isinstance(one, Number)]
    size, lanes = target.lane_bytes, target.bytes // target.lane_bytes
    draft.emit(Op.V_FILL, size=size, dst=SCRATCH, c=target.bytes)
    for lane in range(lanes):
        picked = _PICKS[mnemonic](lane, lanes) + (numbers[0] if mnemonic == "ext" else 0)
        source = vectors[picked // lanes].number
        at = picked % lanes
        draft.emit(Op.V_SET_LANE, size=size, dst=SCRATCH, a=source, shift=lane, imm=at)
    draft.emit(Op.V_MOVE, dst=target.number, a=SCRATCH, c=target.bytes)
    return True


def follow(draft: Draft, mnemonic: str, operands: Operands) -> bool:
    """Emit what calculates the value where that is simple; False where it is not followed."""
    first, rest = expect(Vector, operands[0]), operands[1:]
    number, lane, total = first.number, first.lane_bytes, first.bytes
    vectors = [one for one in rest if isinstance(one, Vector)]
    numbers = [one.value for one in rest if isinstance(one, Number)]
    if mnemonic == "movi" and len(operands) == 2:
        mask = (1 << 8 * lane) - 1
        value = numbers[0] & mask
        draft.emit(Op.V_FILL, size=lane, dst=number, c=total, imm=signed64(value))
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
        fill = {"size": first.lane_bytes, "c": first.bytes, "imm": signed64(numbers[0])}
        draft.emit(Op.V_FILL, dst=SCRATCH, **fill)
        vectors = [*vectors, SCRATCH]
    swapped = mnemonic in _COMPARE_SWAPPED
    a, b = reversed(vectors) if swapped else vectors
    op = (_COMPARE_SWAPPED if swapped else _COMPARE)[mnemonic]
    draft.emit(op, size=first.lane_bytes, dst=first.number, a=a, b=b, c=first.bytes)
