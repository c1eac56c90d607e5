# SPDX-License-Identifier: Apache-2.0
"""Mnemonics of x86-64 vector instructions by what they are: timing class, element size, exact micro-op.

`classify` takes a mnemonic of SSE, AVX or AVX-512 arithmetic and gives its `Class`; KeyError when unknown.
"""

import functools
import re

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Class
from mnc.compile.simulator.isa.micro_ops import Op

_PACKED = ("aps", "ups", "apd", "upd", "dqa", "dqu", "ntps", "ntpd", "ntdq", "ntdqa", "ss", "sd")
_SIZED = ("dqa32", "dqa64", "dqu8", "dqu16", "dqu32", "dqu64")
MOVES = frozenset(
    [f"{v}mov{kind}" for v in ("", "v") for kind in _PACKED]
    + [f"vmov{kind}" for kind in _SIZED]
    + ["lddqu", "vlddqu", "vmovsh"]
)

# By mnemonic without a leading v; the first that matches. `{f}` is ps, pd, ss, sd or the like.
_F = r"(?:[sp][sdh])"
_CLASSES: tuple[tuple[str, Class], ...] = (
    (rf"fn?m(?:add|sub|addsub|subadd)(?:132|213|231){_F}$", Class.FMA),
    (rf"(?:add|sub|addsub|hadd|hsub){_F}$", Class.FP_ADD),
    (r"(?:cvt|round|rndscale|reduce|getexp|getmant|scalef|range)", Class.FP_ADD),
    (rf"mul{_F}$|rcp|rsqrt|dpps$", Class.FP_MUL),
    (rf"(?:max|min){_F}$|cmp\w*{_F}$|u?comi{_F}$", Class.FP_CMP),
    (rf"(?:div|sqrt){_F}$", Class.FP_DIV_SQRT),
    (r"(?:and|andn|or|xor)p[sd]$|blend[mv]?p[sd]$|blendvp[sd]$", Class.VEC_INT),
    (r"pdp[bw]", Class.VEC_DOT),
    (r"pmadd|pmul(?:lw|hw|huw|hrsw)$", Class.VEC_MUL),
    (r"pmov(?:u?s(?:db|dw|wb|q[bdw])|[dwq]b)$", Class.VEC_NARROW),
    (r"p(?:add|sub|mul|mad|and|or|xor|sll|srl|sra|cmp|min|max|abs|avg|sign|ternlog)", Class.VEC_INT),
    (r"p(?:rol|ror|opcnt|lzcnt|conflict|sad|hadd|hsub|testn?m)", Class.VEC_INT),
    (r"p?blend|ptest$|testp[sd]$", Class.VEC_INT),
    (r"p(?:shuf|erm|unpck|ack|align|mov[sz]x|mov[dqw]|slldq|srldq)", Class.VEC_PERMUTE),
    (r"shuf|perm|unpck|insert|extract|align|movddup|movs[lh]dup|mov[lh]p", Class.VEC_PERMUTE),
    (r"mov(?:lh|hl)ps|p?maskmov|p?expand|p?compress", Class.VEC_PERMUTE),
    (r"k(?:and|andn|or|xor|xnor|not|add|shift[lr]|unpck|ortest|test)", Class.VEC_INT),
)  # fmt: skip
# Floating-point operations a lane.
LANES = {Class.FMA: 2, Class.FP_ADD: 1, Class.FP_MUL: 1, Class.FP_CMP: 1, Class.FP_DIV_SQRT: 1}
SUMS = frozenset({Class.FMA, Class.VEC_DOT})  # their target is added to
TO_FLAGS = frozenset(
    [f"{v}{u}comis{kind}" for v in ("", "v") for u in ("", "u") for kind in "sd"]
    + [f"{v}{name}" for v in ("", "v") for name in ("ptest", "testps", "testpd")]
    + [f"k{name}{size}" for name in ("ortest", "test") for size in "bwdq"]
)
# SSE instructions of two operands whose target is only written.
UNMERGED = frozenset(
    "pshufd pshufhw pshuflw pabsb pabsw pabsd movddup movsldup movshdup sqrtps sqrtpd rcpps rsqrtps "
    "roundps roundpd cvtdq2ps cvtps2dq cvttps2dq cvtdq2pd cvtps2pd cvtpd2ps pmovsxdq pmovzxdq pmovsxwd "
    "pmovzxwd pmovsxbw pmovzxbw pmovsxbd pmovzxbd pmovsxwq pmovzxwq pmovsxbq pmovzxbq".split()
)


def _exact() -> dict[str, tuple[Op, int, bool]]:
    """(micro-op, bytes a lane, operands swapped) of the integer instructions that are executed."""
    sizes = {"b": 1, "w": 2, "d": 4, "q": 8}
    table: dict[str, tuple[Op, int, bool]] = {}
    for letter, size in sizes.items():
        table |= {f"padd{letter}": (Op.V_ADD, size, False)}
        table |= {f"psub{letter}": (Op.V_SUB, size, False)}
        table |= {f"psll{letter}": (Op.V_SHL, size, False)}
        table |= {
            f"psrl{letter}": (Op.V_SHR, size, False),
            f"psra{letter}": (Op.V_SAR, size, False),
        }
    table |= {"pmulld": (Op.V_MUL, 4, False), "pmullq": (Op.V_MUL, 8, False)}
    table |= {"pmullw": (Op.V_MUL, 2, False)}
    for name, op in (("and", Op.V_AND), ("or", Op.V_OR), ("xor", Op.V_XOR)):
        table |= {f"p{name}{end}": (op, 8, False) for end in ("", "d", "q")}
        table |= {f"{name}p{end}": (op, 8, False) for end in "sd"}
    # andn takes the complement of its first source, V_BIC of its second.
    table |= {f"pandn{end}": (Op.V_BIC, 8, True) for end in ("", "d", "q")}
    table |= {"pmovsxdq": (Op.V_WIDEN_S, 8, False), "pmovzxdq": (Op.V_WIDEN_U, 8, False)}
    table |= {"pmovsxwd": (Op.V_WIDEN_S, 4, False), "pmovzxwd": (Op.V_WIDEN_U, 4, False)}
    return table | {f"v{name}": what for name, what in table.items()}


EXACT = _exact()


@functools.cache
def classify(name: str) -> Class:
    """The timing class of a vector mnemonic."""
    bare = name.removeprefix("v")
    for pattern, cls in _CLASSES:
        if re.match(pattern, bare):
            return cls
    raise SimulationError(f"mnemonic {name}")


def operations(name: str, cls: Class, width: int) -> int:
    """Multiplications and additions on vectors of `width` bytes; a dot product's are of integers."""
    if cls == Class.VEC_DOT:
        return 2 * width if name.removeprefix("v").startswith("pdpb") else width
    return LANES.get(cls, 0) * max(1, width // element_bytes(name))


@functools.cache
def is_scalar(name: str) -> bool:
    """Whether only the low lane is worked on."""
    return bool(re.search(r"s[sdh]$", name)) and not re.search(r"p[sd]$|^v?pdp", name)


@functools.cache
def element_bytes(name: str) -> int:
    """Bytes of a floating-point lane."""
    return 8 if name.endswith(("pd", "sd")) else 2 if name.endswith(("ph", "sh")) else 4
