# SPDX-License-Identifier: Apache-2.0
"""AArch64 vector instructions of 8- and 16-bit integer kernels: their timing classes.

Takes a mnemonic and its target register; gives the class, whether the target is read too, and the operations
it counts for. None of these is in the float32 kernels that committed logs priced (`_AS_BEFORE`).
"""

from mnc.compile.simulator.decoders.aarch64.operands import Number, Vector
from mnc.compile.simulator.decoders.aarch64.values import Operands
from mnc.compile.simulator.isa.instructions import Class


def _with_upper(names: str) -> frozenset[str]:
    """And their forms on the upper half."""
    return frozenset(one + half for one in names.split() for half in ("", "2"))


_MUL_ADD = frozenset("mla mls sqrdmlah sqrdmlsh".split())
_MUL = frozenset("mul sqdmulh sqrdmulh pmul".split())
_MUL_ADD_LONG = _with_upper("smlal umlal smlsl umlsl sqdmlal sqdmlsl")
_MUL_LONG = _with_upper("smull umull sqdmull pmull")
# Products of each lane of the result.
_DOT = {
    **dict.fromkeys("sdot udot usdot sudot".split(), 4),
    **dict.fromkeys("smmla ummla usmmla".split(), 8),
}
_PAIRWISE = frozenset("sadalp uadalp".split())
_ACCUMULATE = (
    _PAIRWISE | _with_upper("sabal uabal") | frozenset("ssra usra srsra ursra saba uaba".split())
)
_SHIFT_LONG = _with_upper("sshll ushll sxtl uxtl shll")
_SHIFT_NARROW = _with_upper("shrn")
_SHIFT = frozenset("shl sshr ushr".split())
_INSERT = frozenset("sli sri".split())
_SHIFT_BY = frozenset("sshl ushl srshl urshl sqshl uqshl sqrshl uqrshl".split())
_NARROW = _with_upper(
    "sqxtn uqxtn sqxtun rshrn sqshrn uqshrn sqshrun sqrshrn uqrshrn sqrshrun"
) | frozenset("srshr urshr sqshlu".split())
_HIGH_HALF = _with_upper("addhn raddhn subhn rsubhn")
_PLAIN = (
    _HIGH_HALF
    | _with_upper("saddl uaddl saddw uaddw ssubl usubl ssubw usubw sabdl uabdl")
    | frozenset(
        "saddlp uaddlp sqadd uqadd sqsub uqsub suqadd usqadd sqneg sqabs shadd uhadd srhadd urhadd shsub "
        "uhsub".split()
    )
)
_ZIP = frozenset("zip1 zip2 uzp1 uzp2 tbl tbx".split())
_CONVERT = frozenset("scvtf ucvtf fcvtns fcvtnu fcvtas fcvtau".split())
_CLASSES = {
    **dict.fromkeys(_MUL | _MUL_ADD, Class.VEC_MUL),
    **dict.fromkeys(_MUL_LONG | _MUL_ADD_LONG, Class.VEC_MUL_LONG),
    **dict.fromkeys(_DOT, Class.VEC_DOT),
    **dict.fromkeys(_ACCUMULATE, Class.VEC_ACCUMULATE),
    **dict.fromkeys(_SHIFT | _INSERT | _SHIFT_LONG | _SHIFT_NARROW, Class.VEC_SHIFT),
    **dict.fromkeys(_SHIFT_BY, Class.VEC_SHIFT_BY),
    **dict.fromkeys(_NARROW, Class.VEC_NARROW),
    **dict.fromkeys(_PLAIN, Class.VEC_INT),
    **dict.fromkeys(_ZIP, Class.VEC_ZIP),
    **dict.fromkeys(_CONVERT, Class.FP_CONVERT),
}
# What float kernels have too, on lanes of 32 bits and more (masks, addresses): as it cost before.
_AS_BEFORE = {
    **dict.fromkeys(("mul", "shl", "ushll", "ushll2", "uxtl", "uxtl2"), Class.VEC_INT),
    **dict.fromkeys(("zip1", "zip2", "uzp1", "uzp2"), Class.VEC_PERMUTE),
}
# Their target is read: added to (its sums are forwarded late), or kept in part.
ADDED_TO = _MUL_ADD | _MUL_ADD_LONG | frozenset(_DOT) | _ACCUMULATE
KEPT = _INSERT | {one for one in _NARROW | _HIGH_HALF | _SHIFT_NARROW if one.endswith("2")}


def class_of(mnemonic: str, operands: Operands) -> Class | None:
    """None for what is none of these."""
    found, target = _CLASSES.get(mnemonic), operands[0]
    if mnemonic in _AS_BEFORE and isinstance(target, Vector) and target.lane_bytes >= 4:
        return _AS_BEFORE[mnemonic]
    if found == Class.VEC_SHIFT_BY and isinstance(operands[-1], Number):
        return Class.VEC_NARROW  # of a constant, saturating
    return found


def operations(mnemonic: str, target: Vector) -> int:
    """Multiplications and additions, as a multiply-add has two a lane."""
    lanes = target.bytes // target.lane_bytes
    if mnemonic in _DOT:
        return 2 * _DOT[mnemonic] * lanes
    if mnemonic in _MUL_ADD | _MUL_ADD_LONG | _PAIRWISE:
        return 2 * lanes
    return lanes if mnemonic in _MUL | _MUL_LONG else 0
