# SPDX-License-Identifier: Apache-2.0
"""Symbols of a kernel once its sections are placed: their addresses, in the code that uses them and by name.

Takes an image in the making; changes its bytes, and gives functions and the one to call.
"""

from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.loader import object_file, relocate
from mnc.compile.simulator.loader.builder import BASE, ImageBuilder
from mnc.compile.simulator.loader.imports import IMPORT_BYTES, runtime_function
from mnc.compile.simulator.loader.object_file import Symbol


def _address(make: ImageBuilder, magic: int, symbol: Symbol) -> int:
    """Of a symbol: in the image, or of the import that it names (0 for what may be absent)."""
    if symbol.section == object_file.UNDEFINED:
        called = runtime_function(symbol.name)
        return magic + IMPORT_BYTES * called if called is not None else 0
    if symbol.section >= object_file.FIRST_RESERVED:
        return symbol.value
    start = make.placed[symbol.section if make.elf.relocatable else 0]
    return start + symbol.value


def relocate_symbols(make: ImageBuilder, view: memoryview, magic: int, table: int) -> None:
    """Fill in addresses: the offset table at `table`, code and data. Imports are at `magic`."""
    addresses = [_address(make, magic, one) for one in make.elf.symbols if _is_placed(make, one)]
    numbers = [i for i, one in enumerate(make.elf.symbols) if _is_placed(make, one)]
    known = dict(zip(numbers, addresses, strict=True))
    for symbol, entry in make.table.items():
        make.store_word(view, entry, known[symbol])
    for one in make.elf.relocations:
        address = make.placed[one.section] + one.offset
        target = known.get(one.symbol, 0)
        if one.symbol == 0 and not make.elf.relocatable:
            target = make.placed[0]
        place = relocate.Place(
            view, address - BASE, address, target, make.table.get(one.symbol, 0), table, one.addend
        )
        relocate.apply(make.elf.arch, one.kind, place)


def _is_placed(make: ImageBuilder, symbol: Symbol) -> bool:
    inside = object_file.UNDEFINED < symbol.section < object_file.FIRST_RESERVED
    return not inside or not make.elf.relocatable or symbol.section in make.placed


def bind_runtime(make: ImageBuilder, view: memoryview, magic: int) -> None:
    """TVM's loader writes the runtime's functions into variables named after them."""
    for one in make.elf.symbols:
        called = runtime_function(one.name[2:]) if one.name.startswith("__TVM") else None
        if called is None or one.section == object_file.UNDEFINED:
            continue
        make.store_word(view, _address(make, magic, one), magic + IMPORT_BYTES * called)


def functions(make: ImageBuilder) -> tuple[tuple[str, int], ...]:
    """(name, address) of each, in order of address."""
    found = [
        (one.name, _address(make, 0, one))
        for one in make.elf.symbols
        if one.kind == object_file.FUNCTION and one.section != object_file.UNDEFINED
    ]
    return tuple(sorted(found, key=lambda item: item[1]))


def entry(make: ImageBuilder, wanted: str | None) -> int:
    """The packed function: the wanted one, or the one named in `__tvm_main__`, else the first global one."""
    known = dict(functions(make))
    if wanted is not None and wanted in known:
        return known[wanted]
    if wanted is not None:
        raise SimulationError(f"the kernel's library has no function {wanted}")
    main = next((one for one in make.elf.symbols if one.name == "__tvm_main__"), None)
    if main is not None and (name := _string(make, main)) in known:
        return known[name]
    if not known:
        raise SimulationError("the kernel's library has no function")
    return known.get("default_function", next(iter(known.values())))


def _string(make: ImageBuilder, symbol: Symbol) -> str:
    if not 0 < symbol.section < len(make.elf.sections):
        return ""
    section = make.elf.sections[symbol.section]
    offset = symbol.value - (0 if make.elf.relocatable else section.address)
    return section.data[offset : section.data.index(b"\0", offset)].decode()
