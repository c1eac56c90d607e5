# SPDX-License-Identifier: Apache-2.0
"""AArch64 instructions that depend on where they stand: branches, calls, addresses beside the code.

Takes a `Line`; gives the instruction.
"""

from mnc.compile.simulator.decoders.aarch64.operands import CONDITIONS, LINK, Number, parse
from mnc.compile.simulator.decoders.aarch64.values import Operands, integer_write, register
from mnc.compile.simulator.decoders.instruction_builder import Draft
from mnc.compile.simulator.decoders.refusal import expect
from mnc.compile.simulator.isa.instructions import FLAGS, Class, Flag, Instruction, Line
from mnc.compile.simulator.isa.micro_ops import Op

_NAMES = frozenset("b bl blr br ret cbz cbnz tbz tbnz adr adrp".split())


def depends_on_place(mnemonic: str) -> bool:
    """Whether this module knows the instruction."""
    return mnemonic in _NAMES or mnemonic.startswith("b.")


def decode(line: Line) -> Instruction:
    """One instruction that depends on where it stands."""
    name, operands = line.mnemonic, parse(line.operands)
    if name in ("adr", "adrp"):
        return _address(line, operands)
    draft = Draft(Class.CALL if name in ("bl", "blr") else Class.BRANCH)
    draft.flags |= Flag.ENDS_BLOCK
    if name in ("blr", "br", "ret"):
        target = register(operands[0]).number if operands else LINK
        draft.read(target)
        held = target
        if name == "blr" and target == LINK:  # the link is written first
            held = draft.temporary()
            draft.emit(Op.MOV, dst=held, b=target)
        _link(draft, line, name)
        draft.emit(Op.JUMP, a=held)
        return draft.finish()
    _link(draft, line, name)
    _direct(draft, name, operands)
    return draft.finish()


def _direct(draft: Draft, name: str, operands: Operands) -> None:
    target = expect(Number, operands[-1])
    if name in ("b", "bl"):
        draft.emit(Op.BRANCH, imm=target.value)
        return
    if name.startswith("b."):
        draft.read(FLAGS)
        draft.emit(Op.BRANCH_IF, c=CONDITIONS[name[2:]], imm=target.value)
        return
    tested = register(operands[0])
    draft.read(tested.number)
    if name in ("cbz", "cbnz"):
        op = Op.BRANCH_ZERO if name == "cbz" else Op.BRANCH_NONZERO
        draft.emit(op, size=tested.size, a=tested.number, imm=target.value)
        return
    bit = expect(Number, operands[1])
    draft.emit(
        Op.BRANCH_BIT, a=tested.number, shift=bit.value, c=int(name == "tbnz"), imm=target.value
    )


def _link(draft: Draft, line: Line, name: str) -> None:
    if name in ("bl", "blr"):
        draft.write(LINK)
        draft.emit(Op.MOV, dst=LINK, imm=line.address + line.size)


def _address(line: Line, operands: Operands) -> Instruction:
    draft = Draft(Class.INT)
    target, offset = register(operands[0]), expect(Number, operands[1])
    start = line.address & ~0xFFF if line.mnemonic == "adrp" else line.address
    draft.emit(Op.MOV, dst=integer_write(draft, target), imm=start + offset.value)
    return draft.finish()
