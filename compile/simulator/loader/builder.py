# SPDX-License-Identifier: Apache-2.0
"""An image of memory while it is laid out: what lies where, from one fixed address upwards.

Takes an `ObjectFile`; gives addresses.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from mnc.compile.simulator.loader.object_file import ObjectFile

PAGE = 4096
BASE = 0x10000000


@dataclass
class ImageBuilder:
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

    def store_word(self, view: memoryview, address: int, value: int) -> None:
        """Write a pointer into the image's bytes."""
        struct.pack_into("<Q" if self.word == 8 else "<I", view, address - BASE, value)
