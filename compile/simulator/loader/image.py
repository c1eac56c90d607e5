# SPDX-License-Identifier: Apache-2.0
"""A kernel in memory: code and data at fixed addresses, arguments as TVM passes them, a stack, a heap.

Takes an object or library and the buffers of its packed function; gives an `Image`. Every address depends on
these alone, so that a candidate costs the same in any process on any machine.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.loader import object_file, relocate
from mnc.compile.simulator.loader.object_file import ObjectFile, Relocation, Section, Symbol

PAGE = 4096
BASE = 0x10000000
IMPORT_BYTES = 16
# Numbered as in interpret.h; what is not named here is one of the C library's functions on floats.
IMPORTS = {
    "TVMBackendParallelLaunch": 2,
    "TVMBackendParallelBarrier": 3,
    "TVMBackendAllocWorkspace": 4,
    "TVMBackendFreeWorkspace": 5,
    "TVMAPISetLastError": 6,
    "memset": 7,
    "memcpy": 8,
    "memmove": 8,
    "__aeabi_memcpy": 8,
    "__aeabi_idiv": 10,
    "__aeabi_idivmod": 10,
    "__divsi3": 10,
    "__aeabi_uidiv": 11,
    "__aeabi_uidivmod": 11,
    "__udivsi3": 11,
}
LIBM = 9
# Their values go into floats only; the call is counted, the work inside is not.
FLOAT_FUNCTIONS = frozenset(
    f"{name}{suffix}"
    for name in (
        "exp exp2 log log2 tanh sqrt floor ceil round trunc pow fmin fmax fabs erf sin cos fma".split()
    )
    for suffix in ("", "f")
)
STACK_BYTES = 1 << 20
STACK_OFFSET = 16  # as callers leave it: on no line of the cache, which spills of whole lines feel
HEAP_BYTES = 96 << 20
MMAP_THRESHOLD = 128 << 10  # of glibc's malloc: larger blocks begin a page (after a header)
HEADER = 16
ALIGNMENT = 64  # of TVM's arrays and workspaces
FLOAT32 = (2, 32, 1)
DTYPES = {"float32": FLOAT32, "float16": (2, 16, 1), "int32": (0, 32, 1), "int8": (0, 8, 1)}
ARRAY_HANDLE = 13  # kTVMNDArrayHandle


class Buffer(NamedTuple):
    """Where one argument's data are, and on how many axes."""

    address: int
    size: int
    axes: int
    is_output: bool


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
    buffers: tuple[Buffer, ...]
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


@dataclass
class _Builder:
    """The image while it is laid out."""

    elf: ObjectFile
    top: int = BASE
    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    placed: dict[int, int] = field(default_factory=dict)  # section -> address
    table: dict[int, int] = field(default_factory=dict)  # symbol -> its offset table entry

    def take(self, size: int, align: int = 16) -> int:
        """The address of the next `size` bytes."""
        address = -(-self.top // align) * align
        self.top = address + size
        return address

    def put(self, data: bytes, align: int = 16) -> int:
        address = self.take(len(data), align)
        self.chunks.append((address, data))
        return address

    @property
    def word(self) -> int:
        return self.elf.bits // 8

    def words(self, values: Sequence[int]) -> bytes:
        return struct.pack(f"<{len(values)}{'Q' if self.word == 8 else 'I'}", *values)


def build(
    data: bytes,
    arguments: Sequence[tuple[tuple[int, ...], str, bool]],
    function: str | None = None,
) -> Image:
    """The image of an object or library; `arguments` are (shape, dtype, is output) in calling order of
    `function` (None: its one packed function).

    SimulationError for what cannot be placed, linked or found.
    """
    make = _Builder(object_file.read(data))
    magic = make.take(PAGE, PAGE)
    text_start, text_end = _place_sections(make)
    table = _place_offsets(make)
    call = _place_arguments(make, arguments)
    buffers = _place_buffers(make, call, arguments)
    environment = make.take(64, 64)
    zeros = make.take(PAGE, PAGE)
    stack = make.take(STACK_BYTES, PAGE) + STACK_BYTES - PAGE - STACK_OFFSET
    heap = make.take(HEAP_BYTES, PAGE)
    memory = mmap.mmap(-1, -(-(make.top - BASE) // PAGE) * PAGE)
    for address, chunk in make.chunks:
        memory[address - BASE : address - BASE + len(chunk)] = chunk
    with memoryview(memory) as view:
        _relocate(make, view, magic, table)
        _bind_runtime(make, view, magic)
    return Image(
        arch=make.elf.arch,
        memory=memory,
        base=BASE,
        text_start=text_start,
        text_end=text_end,
        text=tuple(_code(make, memory)),
        functions=_functions(make),
        entry=_entry(make, function),
        arguments=call[:6],
        buffers=buffers,
        environment=environment,
        zeros=zeros,
        stack=stack,
        heap=heap,
        magic=magic,
    )


def _place_sections(make: _Builder) -> tuple[int, int]:
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


def _place_offsets(make: _Builder) -> int:
    """The global offset table: one entry for each symbol that is reached through it."""
    kinds = relocate.NEEDS_GOT[make.elf.arch]
    for one in make.elf.relocations:
        if one.kind in kinds and one.symbol not in make.table:
            make.table[one.symbol] = len(make.table)
    start = make.take(make.word * len(make.table), 64)
    make.table = {symbol: start + make.word * i for symbol, i in make.table.items()}
    return start


def _place_arguments(
    make: _Builder, arguments: Sequence[tuple[tuple[int, ...], str, bool]]
) -> tuple[int, ...]:
    """Room for TVMValues, type codes and DLTensors; their addresses, the tensors' last."""
    count = len(arguments)
    codes = make.put(struct.pack(f"<{count}i", *[ARRAY_HANDLE] * count))
    result, result_code = make.take(8), make.take(8)
    values = make.take(8 * count)
    size = 48 if make.word == 8 else 40
    tensors = [make.take(size, 16) for _ in arguments]
    for i, tensor in enumerate(tensors):
        make.chunks.append((values + 8 * i, make.words([tensor])))
    return (values, codes, count, result, result_code, 0, *tensors)


def _place_buffers(
    make: _Builder,
    call: tuple[int, ...],
    arguments: Sequence[tuple[tuple[int, ...], str, bool]],
) -> tuple[Buffer, ...]:
    """Data where an allocator would put them, in calling order, and what the DLTensors say of them."""
    buffers = []
    for tensor, (shape, dtype, is_output) in zip(call[6:], arguments, strict=True):
        if dtype not in DTYPES:
            raise SimulationError(f"buffers of {dtype} are not known; use one of {list(DTYPES)}")
        code, bits, lanes = DTYPES[dtype]
        sizes = make.put(struct.pack(f"<{len(shape)}q", *shape))
        size = bits // 8
        for dimension in shape:
            size *= dimension
        if size >= MMAP_THRESHOLD:
            data = make.take(size + ALIGNMENT, PAGE) + ALIGNMENT
        else:
            make.take(HEADER)
            data = make.take(size, ALIGNMENT)
        head = make.words([data]) + struct.pack("<iiiBBH", 1, 0, len(shape), code, bits, lanes)
        tail = make.words([sizes, 0])
        align = bytes(-len(head + tail) % 8) if make.word == 4 else b""
        make.chunks.append((tensor, head + tail + align + struct.pack("<Q", 0)))
        buffers.append(Buffer(data, size, len(shape), is_output))
    return tuple(buffers)


def _address(make: _Builder, magic: int, symbol: Symbol) -> int:
    """Of a symbol: in the image, or of the import that it names (0 for what may be absent)."""
    if symbol.section == object_file.UNDEFINED:
        number = _import(symbol.name)
        return magic + IMPORT_BYTES * number if number is not None else 0
    if symbol.section >= object_file.FIRST_RESERVED:
        return symbol.value
    start = make.placed[symbol.section if make.elf.relocatable else 0]
    return start + symbol.value


def _import(name: str) -> int | None:
    return IMPORTS.get(name) or (LIBM if name in FLOAT_FUNCTIONS else None)


def _relocate(make: _Builder, view: memoryview, magic: int, table: int) -> None:
    addresses = [_address(make, magic, one) for one in make.elf.symbols if _is_placed(make, one)]
    numbers = [i for i, one in enumerate(make.elf.symbols) if _is_placed(make, one)]
    known = dict(zip(numbers, addresses, strict=True))
    for symbol, entry in make.table.items():
        struct.pack_into("<Q" if make.word == 8 else "<I", view, entry - BASE, known[symbol])
    for one in make.elf.relocations:
        address = make.placed[one.section] + one.offset
        target = known.get(one.symbol, 0)
        if one.symbol == 0 and not make.elf.relocatable:
            target = make.placed[0]
        place = relocate.Place(
            view, address - BASE, address, target, make.table.get(one.symbol, 0), table, one.addend
        )
        relocate.apply(make.elf.arch, one.kind, place)


def _is_placed(make: _Builder, symbol: Symbol) -> bool:
    inside = object_file.UNDEFINED < symbol.section < object_file.FIRST_RESERVED
    return not inside or not make.elf.relocatable or symbol.section in make.placed


def _bind_runtime(make: _Builder, view: memoryview, magic: int) -> None:
    """TVM's loader writes the runtime's functions into variables named after them."""
    for one in make.elf.symbols:
        number = IMPORTS.get(one.name[2:]) if one.name.startswith("__TVM") else None
        if number is None or one.section == object_file.UNDEFINED:
            continue
        address = _address(make, magic, one)
        struct.pack_into(
            "<Q" if make.word == 8 else "<I", view, address - BASE, magic + IMPORT_BYTES * number
        )


def _functions(make: _Builder) -> tuple[tuple[str, int], ...]:
    found = [
        (one.name, _address(make, 0, one))
        for one in make.elf.symbols
        if one.kind == object_file.FUNCTION and one.section != object_file.UNDEFINED
    ]
    return tuple(sorted(found, key=lambda item: item[1]))


def _entry(make: _Builder, wanted: str | None) -> int:
    """The packed function: the wanted one, or the one named in `__tvm_main__`, else the first global one."""
    functions = dict(_functions(make))
    if wanted is not None and wanted in functions:
        return functions[wanted]
    if wanted is not None:
        raise SimulationError(f"the kernel's library has no function {wanted}")
    main = next((one for one in make.elf.symbols if one.name == "__tvm_main__"), None)
    if main is not None and (name := _string(make, main)) in functions:
        return functions[name]
    if not functions:
        raise SimulationError("the kernel's library has no function")
    return functions.get("default_function", next(iter(functions.values())))


def _string(make: _Builder, symbol: Symbol) -> str:
    if not 0 < symbol.section < len(make.elf.sections):
        return ""
    section = make.elf.sections[symbol.section]
    offset = symbol.value - (0 if make.elf.relocatable else section.address)
    return section.data[offset : section.data.index(b"\0", offset)].decode()


def _code(make: _Builder, memory: mmap.mmap) -> Iterator[tuple[int, bytes]]:
    """Pieces of machine code; 32-bit ARM marks data between them by symbols called $d."""
    for i, section in enumerate(make.elf.sections):
        if section.executable and section.size:
            start = make.placed[i]
            for first, last in _pieces(make, i, section):
                at = start - BASE
                yield start + first, bytes(memory[at + first : at + last])


def _pieces(make: _Builder, number: int, section: Section) -> Iterator[tuple[int, int]]:
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


__all__ = ["Buffer", "Image", "Relocation", "build"]
