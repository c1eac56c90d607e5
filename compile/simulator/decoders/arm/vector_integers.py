# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM vector instructions of 8- and 16-bit integer kernels: their timing classes.

Takes a `Name`, and whether a constant ends its operands; gives the class, and which stems add to their
target.
"""

import re

from mnc.compile.simulator.decoders.arm.operands import Name
from mnc.compile.simulator.isa.instructions import Class

# By stem; the first that matches.
_CLASSES: tuple[tuple[str, Class], ...] = (
    (r"v(?:s|u|us|su)dot$|v(?:s|u|us)mmla$", Class.VEC_DOT),
    (r"v(?:qd)?m(?:ul|la|ls)l$", Class.VEC_MUL_LONG),
    (r"vm(?:ul|la|ls)$|vqr?dm(?:ul|la|ls)h$", Class.VEC_MUL),
    (r"vpadal$|vr?sra$|vabal?$", Class.VEC_ACCUMULATE),
    (r"vsh(?:l|r|ll|rn)$|vs[lr]i$", Class.VEC_SHIFT),
    (r"vrshl$|vqr?shl$", Class.VEC_SHIFT_BY),
    (r"vqr?shru?n$|vrshrn?$|vqshlu$|vqmovu?n$", Class.VEC_NARROW),
    (r"vtb[lx]$|vzip$|vuzp$", Class.VEC_ZIP),
)
# What float kernels have too, on lanes of 32 bits (masks, addresses), costs as before.
_AS_BEFORE = {"vmul": Class.VEC_INT, "vshl": Class.VEC_INT, "vshr": Class.VEC_INT}
_AS_BEFORE |= dict.fromkeys(("vzip", "vuzp"), Class.VEC_PERMUTE)
ADDED_TO = re.compile(
    r"v(?:s|u|us|su)dot$|v(?:s|u|us)mmla$|v(?:qd)?ml[as]l?$|vqrdml[as]h$|vpadal$|vr?sra$|vabal?$"
)


def class_of(name: Name, lane: int, *, constant: bool) -> Class | None:
    """None for what is none of these; `lane` in bytes."""
    if lane >= 4 and name.stem in _AS_BEFORE:
        return _AS_BEFORE[name.stem]
    for pattern, cls in _CLASSES:
        if re.match(pattern, name.stem):
            return _by_operand(cls, name, constant=constant)
    return None


def _by_operand(cls: Class, name: Name, *, constant: bool) -> Class:
    """A shift by a register is another operation than by a constant."""
    if cls == Class.VEC_SHIFT_BY and constant:
        return Class.VEC_NARROW
    if name.stem == "vshl" and not constant:
        return Class.VEC_SHIFT_BY
    return cls


def conversion(name: Name) -> bool:
    """From integers, or to the nearest: no float kernel has it."""
    return bool(re.match(r"\.f\d+\.[su]", name.kind)) or name.stem in ("vcvta", "vcvtn")
