# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM vector and floating-point instructions: priced by class; moves and integer arithmetic of whole
quadwords are executed too.

Takes a `Line` and its `Name`; gives the parts of the instruction. What comes out of floating point is marked
unknown, so that nothing can depend on it unnoticed.
"""

import re
from collections.abc import Callable

from mnc.compile.simulator.decoders.arm_memory import draft_at
from mnc.compile.simulator.decoders.arm_operands import (
    Constant,
    Integer,
    Name,
    Operand,
    Vector,
    parse,
)
from mnc.compile.simulator.decoders.arm_values import ArmDraft
from mnc.compile.simulator.decoders.arm_vector_memory import HANDLERS as MEMORY
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
    if name.stem in _SPECIAL:
        return (_SPECIAL[name.stem](line, name),)
    return (_operation(line, name),)


def _class(name: Name) -> Class:
    table = _FLOATS if _FLOAT.search(name.kind) or ".f" in name.kind else _OTHERS
    for pattern, cls in table:
        if re.match(pattern, name.stem):
            return cls
    raise ValueError(f"mnemonic {name.stem}{name.kind}")


def _vectors(operands: tuple[Operand, ...]) -> list[Vector]:
    return [one for one in operands if isinstance(one, Vector)]


def _operation(line: Line, name: Name) -> Instruction:
    operands = parse(line.operands)
    cls = _class(name)
    draft = draft_at(line, name, cls)
    target, *sources = _vectors(operands)
    draft.width = target.size
    draft.flops = _OPERATIONS.get(cls, 0) * max(1, target.size // _lane(name, 4))
    if cls == Class.FMA:
        draft.read_timed(target.timed)
        draft.accumulator = target.timed
        draft.flags |= Flag.BY_ELEMENT if sources[-1].lane is not None else 0
    elif name.stem in (
        "vbsl",
        "vbit",
        "vbif",
        "vsli",
        "vsri",
        "vmla",
        "vmls",
        "vaba",
        "vsra",
        "vtbx",
    ):
        draft.read_timed(target.timed)
    elif name.stem in ("vtrn", "vzip", "vuzp", "vswp"):  # both operands change
        draft.read_timed(target.timed)
        draft.write_timed(sources[0].timed)
        draft.emit(Op.V_UNKNOWN, dst=sources[0].number)
    draft.read_timed(*(one.timed for one in sources))
    _set(draft, target)
    _compute(draft, name, target, sources, operands[-1])
    return draft.finish()


def _set(draft: ArmDraft, target: Vector) -> None:
    draft.write_timed(target.timed)
    if draft.conditional:
        draft.read_timed(FLAGS, target.timed)


def _lane(name: Name, default: int) -> int:
    digits = re.search(r"(\d+)$", name.kind)
    return int(digits[1]) // 8 if digits else default


def _compute(
    draft: ArmDraft, name: Name, target: Vector, sources: list[Vector], last: Operand
) -> None:
    whole = target.size == 16 and not draft.conditional and ".f" not in name.kind
    fields = {"dst": target.number, "size": _lane(name, 8), "c": 16}
    exact = _EXACT.get(name.stem)
    if whole and exact is not None and [one.size for one in sources] == [16, 16]:
        draft.emit(exact, a=sources[0].number, b=sources[1].number, **fields)
    elif whole and name.stem in _SHIFTS and isinstance(last, Constant):
        op = Op.V_SAR if ".s" in name.kind and name.stem == "vshr" else _SHIFTS[name.stem]
        draft.emit(op, a=sources[0].number, imm=last.value, **fields)
    else:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    if name.stem == "vorr" and len(sources) == 2 and sources[0] == sources[1]:
        _copy(draft, target, sources[0])


def _copy(draft: ArmDraft, target: Vector, source: Vector) -> None:
    """vmov of vector registers, which is written vorr."""
    draft.cls = Class.VEC_MOVE
    draft.ops.clear()
    if draft.conditional:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    elif target.size == 16:
        draft.emit(Op.V_MOVE, dst=target.number, a=source.number, c=16)
    else:
        fields = {"dst": target.number, "a": source.number, "size": target.size}
        lane, from_lane = target.offset // target.size, source.offset // source.size
        draft.emit(Op.V_SET_LANE, shift=lane, imm=from_lane, **fields)


def _move(line: Line, name: Name) -> Instruction:
    """vmov: between vector registers, to and from integer registers, of constants."""
    operands = parse(line.operands)
    target, source = operands[0], operands[-1]
    draft = draft_at(line, name, Class.VEC_MOVE)
    if isinstance(target, Vector) and isinstance(source, Integer):
        return _from_integers(draft, name, target, operands[1:])
    if isinstance(target, Integer):
        return _to_integers(draft, name, operands)
    if not isinstance(target, Vector):
        raise ValueError("target")
    draft.width = target.size
    _set(draft, target)
    if isinstance(source, Vector):
        draft.read_timed(source.timed)
        _copy(draft, target, source)
    else:
        draft.cls = Class.VEC_INT
        _fill(draft, name, target, source)
    return draft.finish()


def _fill(draft: ArmDraft, name: Name, target: Vector, source: Operand) -> None:
    constant = isinstance(source, Constant) and ".i" in name.kind and target.size == 16
    if isinstance(source, Constant) and constant and not draft.conditional:
        lane = _lane(name, 4)
        value = source.value - (1 << 64) if source.value >= 1 << 63 else source.value
        draft.emit(Op.V_FILL, dst=target.number, size=lane, c=16, imm=value)
    else:
        draft.emit(Op.V_UNKNOWN, dst=target.number)


def _from_integers(
    draft: ArmDraft, name: Name, target: Vector, sources: tuple[Operand, ...]
) -> Instruction:
    draft.cls, draft.width = Class.INT_TO_VEC, target.size
    _set(draft, target)
    if target.size < 16:
        draft.read_timed(target.timed)
    size = _lane(name, 4)
    position = target.offset // size + (target.lane or 0)
    for i, one in enumerate(sources):
        if isinstance(one, Integer):
            number = draft.source(one.number)
            draft.emit(Op.V_SET, dst=target.number, a=number, size=size, shift=position + i)
    if draft.conditional:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()


def _to_integers(draft: ArmDraft, name: Name, operands: tuple[Operand, ...]) -> Instruction:
    draft.cls = Class.VEC_TO_INT
    source = _vectors(operands)[0]
    draft.width = source.size
    draft.read_timed(source.timed)
    size = _lane(name, 4)
    position = source.offset // size + (source.lane or 0)
    op = Op.V_GET_S if ".s" in name.kind else Op.V_GET
    targets = [one.number for one in operands if isinstance(one, Integer)]
    for i, register in enumerate(targets):
        goal = draft.goal(register)
        draft.emit(op, dst=goal, a=source.number, size=size, shift=position + i, c=4)
        draft.settle(register, goal)
    return draft.finish()


def _duplicate(line: Line, name: Name) -> Instruction:
    target, source = parse(line.operands)
    if not isinstance(target, Vector):
        raise ValueError("target")
    draft = draft_at(line, name, Class.VEC_PERMUTE)
    draft.width = target.size
    _set(draft, target)
    size = _lane(name, 4)
    fields = {"dst": target.number, "size": size, "c": 16}
    whole = target.size == 16 and not draft.conditional
    if isinstance(source, Integer):
        draft.cls = Class.INT_TO_VEC
        number = draft.source(source.number)
        if whole:
            draft.emit(Op.V_DUP, a=number, **fields)
    elif isinstance(source, Vector):
        draft.read_timed(source.timed)
        if whole:
            shift = source.offset // size + (source.lane or 0)
            draft.emit(Op.V_DUP_LANE, a=source.number, shift=shift, **fields)
    if not whole:
        draft.emit(Op.V_UNKNOWN, dst=target.number)
    return draft.finish()


def _compare(line: Line, name: Name) -> Instruction:
    """vcmp: its result is read by vmrs, which is where flags become unknown."""
    draft = draft_at(line, name, Class.FP_CMP)
    vectors = _vectors(parse(line.operands))
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


_SPECIAL: dict[str, Callable[[Line, Name], Instruction]] = {
    "vmov": _move,
    "vdup": _duplicate,
    "vcmp": _compare,
    "vcmpe": _compare,
    "vmrs": _status,
}
