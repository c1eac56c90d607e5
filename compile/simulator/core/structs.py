# SPDX-License-Identifier: Apache-2.0
"""What Python and the C code both declare: structs that pass between them, causes, modes, outcomes.

Takes nothing. Where C declares something else than this, c_headers.py keeps it from compiling.
"""

import ctypes
from enum import IntEnum
from typing import get_args

from mnc.compile.simulator.isa.instructions import Class
from mnc.targets.pipeline import WIDTHS
from mnc.targets.target import Replacement

MAX_LEVELS = 3
MAX_FILLS = 64  # lines on their way at once
MAX_STREAMS = 32
QUEUES = 3
MAX_ARGUMENTS = 6
ARGUMENT_REGISTERS = 8
MAX_UNWRITTEN = 4
REPLACEMENTS: tuple[str, ...] = get_args(Replacement)  # by number


class Cause(IntEnum):
    """What cycles are spent on."""

    FMA = 0
    VECTOR = 1
    LOAD_STORE = 2
    INTEGER = 3
    FRONT_END = 4
    LATENCY = 5
    L1 = 6
    L2 = 7
    L3 = 8
    DRAM = 9
    STORE = 10
    LAUNCH = 11

    @property
    def label(self) -> str:
        """In words."""
        return CAUSE_LABELS[self]


CAUSE_LABELS = {
    Cause.FMA: "multiply-add issue",
    Cause.VECTOR: "other vector issue",
    Cause.LOAD_STORE: "load and store issue",
    Cause.INTEGER: "integer and loop overhead",
    Cause.FRONT_END: "front end",
    Cause.LATENCY: "dependence chains",
    Cause.L1: "L1 misses on their way",
    Cause.L2: "L2",
    Cause.L3: "L3",
    Cause.DRAM: "DRAM",
    Cause.STORE: "stores",
    Cause.LAUNCH: "parallel launch",
}


class RunOutcome(IntEnum):
    """How a call of a kernel ended."""

    RAN = 0
    FAULT = 1
    NO_SUCH_CODE = 2
    FLAGS_NEEDED = 3
    VECTOR_NEEDED = 4
    TOO_LONG = 5
    KERNEL_FAILED = 6
    OUT_OF_MEMORY = 7
    NESTED = 8


class Mode(IntEnum):
    """What becomes of a kernel's instructions: they touch the caches, are timed, or only counted."""

    TOUCHED = 0
    TIMED = 1
    COUNTED = 2


def _fields(kind: "type[ctypes._SimpleCData[int]]", names: str) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


U8, U16, U32, U64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class OpParams(ctypes.Structure):
    """How one class of instructions is done at one width."""

    _fields_ = [
        *_fields(U16, "ports then_ports"),
        *_fields(U8, "slots then_slots"),
        ("latency", ctypes.c_int8),
        *_fields(U8, "accumulate micro_ops alone queue blocks"),
    ]


class CacheParams(ctypes.Structure):
    """One cache."""

    _fields_ = _fields(U32, "bytes ways latency line_time shared replacement")


class MemoryParams(ctypes.Structure):
    """The memory system of one core."""

    _fields_ = [
        *_fields(U32, "levels line_shift"),
        ("level", CacheParams * MAX_LEVELS),
        *_fields(U32, "dram_latency dram_line_time dram_all_time misses misses_l2"),
        *_fields(U32, "streams trigger max_stride depth_l1 depth_l2 prefetches"),
        *_fields(U32, "crosses_pages store_prefetch by_page pairs stride_ahead"),
        *_fields(U32, "streaming_lines merging stores_merge write_back"),
        *_fields(U32, "page_shift tlb_entries tlb2_entries tlb2_ways tlb2_latency walk_latency"),
    ]


class CoreParams(ctypes.Structure):
    """A core and its memory."""

    _fields_ = [
        ("ops", (OpParams * len(WIDTHS)) * len(Class)),
        ("memory", MemoryParams),
        *_fields(U32, "in_order width retire_width window"),
        ("queue", U32 * QUEUES),
        *_fields(U32, "load_queue store_queue mispredict taken history"),
        *_fields(U32, "code_bytes code_ways code_latency code_next"),
        *_fields(U32, "forward replays alias binds launch launch_task in_order_vector"),
    ]


class CoreStats(ctypes.Structure):
    """What a core counted since time began."""

    _fields_ = [
        ("cycles", ctypes.c_double),
        ("causes", ctypes.c_double * len(Cause)),
        ("instructions", U64),
        ("misses", U64 * MAX_LEVELS),
        *_fields(U64, "dram_lines tlb_misses walks mispredicted"),
    ]


class MachineLayout(ctypes.Structure):
    """How a kernel is called, and where things are."""

    _fields_ = [
        *_fields(U64, "base bytes magic text text_bytes heap heap_bytes environment stack entry"),
        ("arguments", U64 * MAX_ARGUMENTS),
        ("argument_registers", U8 * ARGUMENT_REGISTERS),
        *_fields(U32, "result_register stack_register"),
        ("link_register", ctypes.c_int32),
        *_fields(U32, "pointer_bytes threads n_unwritten"),
        ("unwritten", (U64 * 2) * MAX_UNWRITTEN),
        *_fields(U64, "zeros max_instructions"),
    ]
