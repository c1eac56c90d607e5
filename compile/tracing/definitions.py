# SPDX-License-Identifier: Apache-2.0
"""What the emulator tells of code: the instructions of its blocks, and the files that they were read from.

Takes packets of words for CPU DEFINITIONS (stream.h); gives code by block and files by address.
"""

from dataclasses import dataclass
from pathlib import Path

from mnc.compile.simulator.isa.packing import Array

KIND_SHIFT = 61
CODE, MAPPING = 1, 2
VALUE = (1 << KIND_SHIFT) - 1


@dataclass(frozen=True)
class Mapping:
    """Addresses of code [first, last) and the part of a file, from `offset` on, that lies there."""

    first: int
    last: int
    offset: int
    path: Path


class Definitions:
    """All that was told so far."""

    def __init__(self) -> None:
        self._code: dict[int, tuple[int, bytes]] = {}
        self._mappings: dict[int, Mapping] = {}

    def take(self, words: Array) -> None:
        """One packet of them."""
        at = 0
        while at < len(words):
            kind, value = int(words[at]) >> KIND_SHIFT, int(words[at]) & VALUE
            at += (
                self._take_code(value, words[at:])
                if kind == CODE
                else self._take_mapping(value, words[at:])
            )

    def code(self, block: int) -> tuple[int, bytes]:
        """Address and instructions of a block."""
        return self._code[block]

    def mappings(self) -> tuple[Mapping, ...]:
        """All files, by address."""
        return tuple(self._mappings[first] for first in sorted(self._mappings))

    def _take_code(self, block: int, words: Array) -> int:
        count = int(words[2])
        end = 3 + (count + 1) // 2
        self._code[block] = (int(words[1]), words[3:end].tobytes()[: 4 * count])
        return end

    def _take_mapping(self, size: int, words: Array) -> int:
        first, last, offset = (int(word) for word in words[1:4])
        end = 4 + (size + 7) // 8
        path = Path(words[4:end].tobytes()[:size].decode(errors="replace"))
        if path.is_absolute():
            self._mappings[first] = Mapping(first, last, offset, path)
        return end
