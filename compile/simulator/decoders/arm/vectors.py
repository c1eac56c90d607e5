# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM vector and floating-point instructions: priced by class; integer arithmetic is executed too.

Takes a `Line` and its `Name`; gives the parts of the instruction. What comes out of floating point is marked
unknown, so that nothing can depend on it unnoticed.
"""

import re

from mnc.compile.simulator.decoders.arm import vector_integers, vector_moves
from mnc.compile.simulator.decoders.arm.operands import Constant, Name, Operand, Vector, parse
from mnc.compile.simulator.decoders.arm.values import ArmDraft, Handler, draft_at
from mnc.compile.simulator.decoders.arm.vector_memory import HANDLERS as MEMORY
from mnc.compile.simulator.decoders.arm.vector_moves import (
    copy,
    lane_bytes,
    vectors_of,
    write_vector,
)
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import Op

_FLOAT = re.compile(r"\.f(16|32|64)$")
# By stem; the first that matches. Of floating point:
_FLOATS: tuple[tuple[str, Class], ...] = (
    (r"vfn?m[as]$|vn?ml[as]$", Class.FMA),
    (r"vadd$|vsub$|vabd$|vpadd$|vcvt[abmnprtz]*$|vrint", Class.FP_ADD),
    (r"vn?mul$|vrecp[es]$|vrsqrt[es]$", Class.FP_MUL),
    (r"vp?max|vp?min|vc(?:eq|ge|gt|le|lt|mp|mpe)$|vac(?:ge|gt|le|lt)$|vneg$|vabs$", Class.FP_CMP),
    (r"vdiv$|vsqrt$", Class.FP_DIV_SQRT),
)
_OTHERS: tuple[tuple[str, Class], ...] = (
    (r"vext$|vtrn$|vzip$|vuzp$|vrev|vswp$|vtb[lx]$|vdup$|vq?movu?n$|vmovl$", Class.VEC_PERMUTE),
    (r"v(?:q|h|r|qd|qrd|qr|rh)?(?:add|sub|mul|mla|mls|abd|aba|shl|shr|sra|sli|sri|shrn)\w*$", Class.VEC_INT),
    (r"v(?:and|orr|orn|eor|bic|bsl|bit|bif|mvn|neg|abs|cnt|clz|cls|tst|mov)$", Class.VEC_INT),
    (r"vp?(?:max|min|add|addl|adal)$|vc(?:eq|ge|gt|le|lt)$|vcvt", Class.VEC_INT),
)  # fmt: skip
_OPERATIONS = {
    Class.FMA: 2,
    Class.FP_ADD: 1,
    Class.FP_MUL: 1,
    Class.FP_CMP: 1,
    Class.FP_DIV_SQRT: 1,
}
_EXACT = {
    "vadd": Op.V_ADD,
    "vsub": Op.V_SUB,
    "vmul": Op.V_MUL,
    "vand": Op.V_AND,
    "vorr": Op.V_OR,
    "veor": Op.V_XOR,
    "vbic": Op.V_BIC,
}
_SHIFTS = {"vshl": Op.V_SHL, "vshr": Op.V_SHR}


def decode(line: Line, name: Name) -> tuple[Instruction, ...]:
    """One vector instruction."""
    if name.stem in MEMORY:
        return MEMORY[name.stem](line, name)
    if name.stem in _HANDLERS:
        return (_HANDLERS[name.stem](line, name),)
    return (_operation(line, name),)


def _class(name: Name, last: Operand) -> Class:
    table = _FLOATS if _FLOAT.search(name.kind) or ".f" in name.kind else _OTHERS
    if table is _FLOATS and name.stem.startswith("vcvt") and vector_integers.conversion(name):
        return Class.FP_CONVERT
    constant = isinstance(last, Constant)
    found = vector_integers.class_of(name, lane_bytes(name, 4), constant=constant)
    if table is _OTHERS and found is not None:
        return found
    for pattern, cls in table:
        if re.match(pattern, name.stem):
            return cls
    raise SimulationError(f"mnemonic {name.stem}{name.kind}")


def _operation(line: Line, name: Name) -> Instruction:
    operands = parse(line.operands)
    cls = _class(name, operands[-1])
    draft = draft_at(line, name, cls)
    target, *sources = vectors_of(operands)
    draft.width = target.size
    draft.flops = _OPERATIONS.get(cls, 0) * max(1, target.size // lane_bytes(name, 4))
    if cls == Class.FMA:
        draft.read_timed(target.timed)
        draft.accumulator = target.timed
        draft.flags |= Flag.BY_ELEMENT if sources[-1].lane is not None else 0
    elif vector_integers.ADDED_TO.match(name.stem):
        draft.read_timed(target.timed)
        if target.timed not in [one.timed for one in sources]:
            draft.accumulator = target.timed
    elif name.stem in (
        "vbsl",
        "vbit",
        "vbif",
        "vsli",
        "vsri",
        "vtbx",
    ):
        draft.read_timed(target.timed)
    elif name.stem in ("vtrn", "vzip", "vuzp", "vswp"):  # both operands change
        draft.read_timed(target.timed)
        draft.write_timed(sources[0].timed)
        draft.emit(Op.V_UNKNOWN, dst=sources[0].number)
    draft.read_timed(*(one.timed for one in sources))
    write_vector(draft, target)
    _compute(draft, name, target, sources, operands[-1])
    return draft.finish()


def _compute(
    draft: ArmDraft, name: Name, target: Vector, sources: list[Vector], last: Operand
) -> None:
    whole = target.size == 16 and not draft.conditional and ".f" not in name.kind
    fields = {"dst": target.number, "size": lane_bytes(name, 8), "c": 16}
    exact = _EXACT.get(name.stem)
    if whole and exact is not None and [one.size for one in sources] == [16, 16]:
        draft.emit(exact, a=sources[0].number, b=sources[1].number, **fields)
    elif whole and name.stem in _SHIFTS and isinstance(last, Constant):
        op = Op.V_SAR if ".s" in name.kind and name.stem == "vshr" else _SHIFTS[name.stem]
        draft.emit(op, a=sources[0].number, imm=last.value, **fields)
    else:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    if name.stem == "vorr" and len(sources) == 2 and sources[0] == sources[1]:
        copy(draft, target, sources[0])


def _compare(line: Line, name: Name) -> Instruction:
    """vcmp: its result is read by vmrs, which is where flags become unknown."""
    draft = draft_at(line, name, Class.FP_CMP)
    vectors = vectors_of(parse(line.operands))
    draft.width = vectors[0].size
    draft.read_timed(*(one.timed for one in vectors))
    draft.write(FLAGS)
    draft.emit(Op.FLAGS_UNKNOWN)
    return draft.finish()


def _status(line: Line, name: Name) -> Instruction:
    draft = draft_at(line, name, Class.VEC_TO_INT)
    draft.write(FLAGS)
    draft.emit(Op.FLAGS_UNKNOWN)
    return draft.finish()


_HANDLERS: dict[str, Handler] = {
    **vector_moves.HANDLERS,
    "vcmp": _compare,
    "vcmpe": _compare,
    "vmrs": _status,
}
