# SPDX-License-Identifier: Apache-2.0
"""The core model fed by a trace: one core, and the words of the virtual CPU that it stands for.

Takes packets of words (stream.h); gives counts and statistics.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np

from mnc.compile.simulator.core import native
from mnc.compile.simulator.core.structs import Cause, CoreParams, CoreStats
from mnc.compile.simulator.isa.packing import Array
from mnc.compile.tracing.blocks import Blocks
from mnc.compile.tracing.definitions import Definitions
from mnc.support.errors import UserError

SOURCE = Path(__file__).with_name("replay.c")
BLOCK_NUMBER = (1 << 32) - 1


class Replay:
    """A core, its caches empty at first, one of `cores` at work together."""

    def __init__(
        self, params: CoreParams, blocks: Blocks, definitions: Definitions, *, cores: int
    ) -> None:
        self._library, self._blocks, self._definitions = _library(), blocks, definitions
        room, entries = len(blocks.insns), blocks.entries.ctypes.data
        self._replay = self._library.replay_create(
            ctypes.byref(params), blocks.insns.ctypes.data, entries, room, cores
        )
        if not self._replay:
            raise UserError("the trace cannot be priced: out of memory; choose a smaller region")

    def __enter__(self) -> "Replay":
        return self

    def __exit__(self, *_: object) -> None:
        self._library.replay_destroy(self._replay)

    def meet(self, other: "Replay") -> None:
        """The other is of the same program, at work beside it."""
        self._library.replay_meet(self._replay, other._replay)
        self._library.replay_meet(other._replay, self._replay)

    def feed(self, words: Array) -> None:
        """What its CPU did next; blocks are decoded as they turn up."""
        at = 0
        while at < len(words):
            start = words[at:]
            at += self._library.replay_feed(self._replay, start.ctypes.data, len(start))
            if at < len(words):
                self._learn(int(words[at]) & BLOCK_NUMBER)

    def _learn(self, number: int) -> None:
        found = self._blocks.decoded(number, *self._definitions.code(number))
        where = (number, found.start, len(found), number in self._blocks.waiting)
        if not self._library.replay_define(self._replay, *where):
            raise UserError("the trace cannot be priced: out of memory; choose a smaller region")

    def counts(self) -> Array:
        """How often each insn ran in the timed region."""
        counts = self._library.replay_counts(self._replay)
        found: Array = np.ctypeslib.as_array(counts, (len(self._blocks.insns),))
        return found.copy()

    def statistics(self) -> tuple[CoreStats, Array]:
        """What the core counted in the timed region, and cycles by insn and cause."""
        stats, cycles = CoreStats(), np.zeros((len(self._blocks.insns), len(Cause)))
        core = self._library.replay_core(self._replay)
        self._library.core_stats(core, ctypes.byref(stats), cycles.ctypes.data)
        return stats, cycles


@functools.cache
def _library() -> Any:
    library = native.library(SOURCE)
    pointer, number = ctypes.c_void_p, ctypes.c_uint32
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "replay_create": (pointer, [pointer, pointer, pointer, number, number]),
        "replay_destroy": (None, [pointer]),
        "replay_meet": (None, [pointer, pointer]),
        "replay_define": (ctypes.c_int, [pointer, number, number, number, number]),
        "replay_feed": (ctypes.c_uint64, [pointer, pointer, ctypes.c_uint64]),
        "replay_core": (pointer, [pointer]),
        "replay_counts": (ctypes.POINTER(ctypes.c_uint64), [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
