# SPDX-License-Identifier: Apache-2.0
"""A kernel's machine code, decoded: what the interpreter runs and timing reads.

Takes an `Image`; gives a `DecodedProgram`: arrays of instructions and micro-ops, and the lines that
a listing shows.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mnc.compile.simulator.decoders.aarch64 import decode as aarch64
from mnc.compile.simulator.decoders.arm import decode as arm
from mnc.compile.simulator.decoders.disassembly import disassemble
from mnc.compile.simulator.decoders.x86 import decode as x86
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import Abi, Class, Instruction, Line, Option
from mnc.compile.simulator.isa.micro_ops import MicroOp, Op
from mnc.compile.simulator.isa.packing import Array, pack
from mnc.compile.simulator.loader.image import Image


class Decoder(Protocol):
    """A module that knows one architecture. SimulationError names an instruction that it has no model of."""

    ABI: Abi

    def decode(self, line: Line) -> tuple[Instruction, ...]: ...


DECODERS: dict[str, Decoder] = {"aarch64": aarch64, "arm": arm, "x86_64": x86}
_OUT_OF_VECTORS = (Op.V_GET, Op.V_GET_S)
_BRANCHES = frozenset((Op.BRANCH, Op.BRANCH_IF, Op.BRANCH_ZERO, Op.BRANCH_NONZERO, Op.BRANCH_BIT))
# Written beside the kernel by TVM, never called by kernels of float32.
_CONVERSIONS = re.compile(r"__(truncsfhf2|extendhfsf2|truncdfhf2|trunctfhf2|gnu_\w+)$")


@dataclass(frozen=True)
class DecodedProgram:
    """`lines[i]` is the machine instruction that `insns[i]` is (a part of). `refused` says by address what
    is not known: an error if it is run.
    """

    abi: Abi
    insns: Array
    micro_ops: Array
    lines: tuple[Line, ...]
    refused: Mapping[int, str]


def decode(image: Image) -> DecodedProgram:
    """Every instruction of the image's code."""
    decoder = DECODERS[image.arch]
    lines: list[Line] = []
    code: list[tuple[int, Instruction]] = []
    refused: dict[int, str] = {}
    for line in _lines(image):
        for part in _parts(decoder, line, refused):
            lines.append(line)
            code.append((line.address, part))
    insns, micro_ops = pack(code)
    for first, last in _functions(image, [line.address for line in lines]):
        insns["options"][first:last] = _options(code[first:last])
    return DecodedProgram(decoder.ABI, insns, micro_ops, tuple(lines), refused)


def _lines(image: Image) -> Iterator[Line]:
    skipped = _skipped(image)
    for address, code in image.text:
        for line in disassemble(code, address, image.arch):
            if not any(first <= line.address < last for first, last in skipped):
                yield line


def _skipped(image: Image) -> list[tuple[int, int]]:
    """Where TVM's conversions of half-precision floats are."""
    starts = [address for _, address in image.functions] + [image.text_end]
    return [
        (address, starts[i + 1])
        for i, (name, address) in enumerate(image.functions)
        if _CONVERSIONS.match(name)
    ]


def _parts(decoder: Decoder, line: Line, refused: dict[int, str]) -> Sequence[Instruction]:
    try:
        return decoder.decode(line)
    except SimulationError as error:
        refused[line.address] = str(error)
        # A branch to nowhere stops the interpreter there.
        return (Instruction(Class.NOP, (MicroOp(Op.BRANCH, imm=0),)),)


def _functions(image: Image, addresses: list[int]) -> list[tuple[int, int]]:
    """Ranges of instructions between the starts of functions."""
    starts = {address for _, address in image.functions}
    cuts = [i for i, at in enumerate(addresses) if at in starts and addresses[i - 1] != at]
    bounds = sorted({0, *cuts, len(addresses)})
    return list(itertools.pairwise(bounds))


def _options(code: Sequence[tuple[int, Instruction]]) -> list[int]:
    """Which instructions' vectors matter. An address may come out of a vector register only where the
    function has such an instruction; inside its loops, if it has none, vector data are floats.
    """
    if any(op.op in _OUT_OF_VECTORS for _, one in code for op in one.micro_ops):
        return [Option.TRACK] * len(code)
    options: list[int] = [0] * len(code)
    index = {address: i for i, (address, _) in reversed(list(enumerate(code)))}
    for i, (_, one) in enumerate(code):
        last = one.micro_ops[-1] if one.micro_ops else None
        if last is None or last.op not in _BRANCHES:
            continue
        target = index.get(last.imm)
        if target is not None and target <= i:
            options[target : i + 1] = [Option.TOUCH_ONLY] * (i + 1 - target)
    return options
