# SPDX-License-Identifier: Apache-2.0
"""The weights out of an artifact's library, for any architecture, without loading it.

Takes the path of a `library.so`; gives arrays by name. TVM keeps them in one symbol, in the format of
its `GraphExecutorFactory`: all lengths are read as untrusted.
"""

import io
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile

from mnc.compile.toolchain import stored_weights
from mnc.support import error_text
from mnc.support.errors import UserError

BLOB = "__tvm_dev_mblob"
ARRAY_MAGIC = 0xDD5E40F096B4A13F
DTYPES = {
    (2, 32): "<f4",
    (2, 16): "<f2",
    (0, 8): "i1",
    (1, 8): "u1",
    (0, 32): "<i4",
    (0, 64): "<i8",
}
Array = np.ndarray[Any, np.dtype[Any]]


def read(library: Path) -> dict[str, Array]:
    """The constant arrays as kernels read them, by the graph's names; UserError when there are none."""
    try:
        with library.open("rb") as file:
            return stored_weights.widened(_factory(_Reader(_symbol(ELFFile(file), BLOB))))
    except Exception as error:  # damage makes pyelftools fail in any way
        raise UserError(
            f"{library} holds no weights that can be read ({error_text.of_exception(error)}); "
            "build the artifact again"
        ) from None


def _symbol(elf: Any, name: str) -> bytes:
    """The bytes from the symbol to the end of its section; the blob begins with its own length."""
    for symbol in elf.get_section_by_name(".dynsym").iter_symbols():
        if symbol.name == name:
            break
    else:
        raise ValueError(f"no symbol {name}")
    section = elf.get_section(symbol["st_shndx"])
    start = symbol["st_value"] - section["sh_addr"]
    return bytes(section.data()[start:])


class _Reader:
    """Little-endian values, one after the other."""

    def __init__(self, data: bytes) -> None:
        size = struct.unpack_from("<Q", data)[0]
        if size > len(data) - 8:
            raise ValueError("cut short")
        self._file = io.BytesIO(data[8 : 8 + size])

    def bytes(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError("cut short")
        return data

    def number(self, kind: str = "Q") -> int:
        """An integer of a `struct` format."""
        return int(struct.unpack(f"<{kind}", self.bytes(struct.calcsize(f"<{kind}")))[0])

    def text(self) -> str:
        """A string with its length in front."""
        return self.bytes(self.number()).decode()


def _factory(reader: _Reader) -> dict[str, Array]:
    """Walk the modules of the blob up to the factory, which holds the weights."""
    for _ in range(reader.number()):
        key = reader.text()
        if key == "GraphExecutorFactory":
            reader.text()  # the graph
            count = reader.number()
            names = [reader.text() for _ in range(reader.number())]
            if len(names) != count:
                raise ValueError("names and arrays differ in number")
            return {name: _array(reader) for name in names}
        if key != "_lib":
            raise ValueError(f"unexpected module {key!r}")
    raise ValueError("no graph executor in it")


def _array(reader: _Reader) -> Array:
    if reader.number() != ARRAY_MAGIC:
        raise ValueError("no array where one should be")
    reader.bytes(8 + 8)  # reserved, device
    dimensions = reader.number("i")
    code, bits, lanes = reader.number("B"), reader.number("B"), reader.number("H")
    if not 0 <= dimensions <= 16 or lanes != 1:
        raise ValueError("an array of an unknown kind")
    shape = tuple(reader.number("q") for _ in range(dimensions))
    dtype = np.dtype(DTYPES[code, bits])
    size = reader.number("q")
    if min(shape, default=0) < 0 or size != math.prod(shape) * dtype.itemsize:
        raise ValueError("an array of an impossible size")
    return np.frombuffer(reader.bytes(size), dtype).reshape(shape)
