# SPDX-License-Identifier: Apache-2.0
"""A kernel in memory: code and data at fixed addresses, arguments as TVM passes them, a stack, a heap.

Takes an object or library and the buffers of its packed function; gives an `Image`. Every address depends on
these alone, so that a candidate costs the same in any process on any machine.
"""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.loader import object_file, relocate, symbols
from mnc.compile.simulator.loader.arguments import (
    KernelArgument,
    PlacedBuffer,
    place_arguments,
    place_buffers,
)
from mnc.compile.simulator.loader.builder import BASE, PAGE, ImageBuilder
from mnc.compile.simulator.loader.object_file import Section

STACK_BYTES = 1 << 20
STACK_OFFSET = 16  # as callers leave it: on no line of the cache, which spills of whole lines feel
HEAP_BYTES = 96 << 20


@dataclass(frozen=True)
class Image:
    """`text` is (address, code) of each piece of machine code, data inside it left out; `functions` are
    (name, address) in order of address; `arguments` the six of a packed call.
    """

    arch: str
    memory: mmap.mmap
    base: int
    text_start: int
    text_end: int
    text: tuple[tuple[int, bytes], ...]
    functions: tuple[tuple[str, int], ...]
    entry: int
    arguments: tuple[int, ...]
    buffers: tuple[PlacedBuffer, ...]
    environment: int
    zeros: int
    stack: int
    heap: int
    magic: int

    def text_at(self, address: int) -> str:
        """The zero-ended text at an address, such as a kernel's error message."""
        offset = address - self.base
        if not 0 <= offset < len(self.memory):
            return ""
        end = self.memory.find(b"\0", offset, offset + 300)
        return self.memory[offset : end if end >= 0 else offset + 300].decode("utf-8", "replace")


def build(
    data: bytes,
    arguments: Sequence[KernelArgument],
    function: str | None = None,
) -> Image:
    """The image of an object or library; `arguments` are (shape, dtype, is output) in calling order of
    `function` (None: its one packed function).

    SimulationError for what cannot be placed, linked or found.
    """
    make = ImageBuilder(object_file.read(data))
    magic = make.take(PAGE, PAGE)
    text_start, text_end = _place_sections(make)
    table = _place_offsets(make)
    call = place_arguments(make, arguments)
    buffers = place_buffers(make, call, arguments)
    environment = make.take(64, 64)
    zeros = make.take(PAGE, PAGE)
    stack = make.take(STACK_BYTES, PAGE) + STACK_BYTES - PAGE - STACK_OFFSET
    heap = make.take(HEAP_BYTES, PAGE)
    memory = mmap.mmap(-1, -(-(make.top - BASE) // PAGE) * PAGE)
    for address, chunk in make.chunks:
        memory[address - BASE : address - BASE + len(chunk)] = chunk
    with memoryview(memory) as view:
        symbols.relocate_symbols(make, view, magic, table)
        symbols.bind_runtime(make, view, magic)
    return Image(
        arch=make.elf.arch,
        memory=memory,
        base=BASE,
        text_start=text_start,
        text_end=text_end,
        text=tuple(_code(make, memory)),
        functions=symbols.functions(make),
        entry=symbols.entry(make, function),
        arguments=call[:6],
        buffers=buffers,
        environment=environment,
        zeros=zeros,
        stack=stack,
        heap=heap,
        magic=magic,
    )


def _place_sections(make: ImageBuilder) -> tuple[int, int]:
    """Code first; a library's sections keep their distances. Gives where code begins and ends."""
    numbered = [(i, one) for i, one in enumerate(make.elf.sections) if one.allocated and one.size]
    if make.elf.relocatable:
        for i, one in sorted(numbered, key=lambda item: not item[1].executable):
            make.placed[i] = make.take(one.size, one.align)
    else:
        start = make.take(max(one.address + one.size for _, one in numbered), PAGE)
        make.placed = {i: start + one.address for i, one in numbered} | {0: start}
    make.chunks += [(make.placed[i], one.data) for i, one in numbered if one.data]
    code = [(make.placed[i], one.size) for i, one in numbered if one.executable]
    if not code:
        raise SimulationError("the kernel's library holds no code")
    return min(at for at, _ in code), max(at + size for at, size in code)


def _place_offsets(make: ImageBuilder) -> int:
    """The global offset table: one entry for each symbol that is reached through it."""
    kinds = relocate.NEEDS_GOT[make.elf.arch]
    for one in make.elf.relocations:
        if one.kind in kinds and one.symbol not in make.table:
            make.table[one.symbol] = len(make.table)
    start = make.take(make.word * len(make.table), 64)
    make.table = {symbol: start + make.word * i for symbol, i in make.table.items()}
    return start


def _code(make: ImageBuilder, memory: mmap.mmap) -> Iterator[tuple[int, bytes]]:
    """Pieces of machine code; 32-bit ARM marks data between them by symbols called $d."""
    for i, section in enumerate(make.elf.sections):
        if section.executable and section.size:
            start = make.placed[i]
            for first, last in _pieces(make, i, section):
                at = start - BASE
                yield start + first, bytes(memory[at + first : at + last])


def _pieces(make: ImageBuilder, number: int, section: Section) -> Iterator[tuple[int, int]]:
    origin = 0 if make.elf.relocatable else section.address
    marks = sorted(
        (one.value - origin, one.name[:2] == "$d")
        for one in make.elf.symbols
        if one.section == number and one.name[:2] in ("$d", "$a", "$x")
    )
    begin: int | None = 0
    for offset, is_data in marks:
        if is_data and begin is not None:
            if offset > begin:
                yield begin, offset
            begin = None
        elif not is_data and begin is None:
            begin = offset
    if begin is not None:
        yield begin, section.size
