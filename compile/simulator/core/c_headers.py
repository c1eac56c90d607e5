# SPDX-License-Identifier: Apache-2.0
"""C headers made of what Python declares: the list of micro-ops, and that C declares all else the same.

Takes structs.py, and enums and array types of `isa` and `loader`; gives the headers' text. Where a struct,
an enum or a limit is another in C than in Python, an assertion that names it fails to compile.
"""

import ctypes
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from mnc.compile.simulator.core import structs
from mnc.compile.simulator.core.structs import Cause, Mode, RunOutcome
from mnc.compile.simulator.isa import instructions, micro_ops
from mnc.compile.simulator.isa.instructions import Class, Flag, Option
from mnc.compile.simulator.isa.micro_ops import Condition, Modify, Op
from mnc.compile.simulator.isa.packing import INSN, MICRO_OP
from mnc.compile.simulator.loader import builder, imports
from mnc.compile.simulator.loader.imports import Import
from mnc.targets.pipeline import MAX_PORTS, WIDTHS

# By C's names. Before a struct those that it has within it.
STRUCTS: dict[str, type[ctypes.Structure]] = {
    "op_params": structs.OpParams,
    "cache_params": structs.CacheParams,
    "memory_params": structs.MemoryParams,
    "core_params": structs.CoreParams,
    "struct core_stats": structs.CoreStats,
    "machine_layout": structs.MachineLayout,
}
ARRAYS = {"insn": INSN, "micro_op": MICRO_OP}
# With what C puts before their names.
ENUMS: tuple[tuple[str, type[IntEnum]], ...] = (
    ("CLASS_", Class),
    ("INSN_", Flag),
    ("OPTION_", Option),
    ("MODIFY_", Modify),
    ("CONDITION_", Condition),
    ("IMPORT_", Import),
    ("CAUSE_", Cause),
    ("", RunOutcome),
    ("", Mode),
)
NUMBERS = {
    "CLASSES": len(Class),
    "CAUSES": len(Cause),
    "IMPORTS": len(Import),
    "WIDTHS": len(WIDTHS),
    "PORTS": MAX_PORTS,
    "QUEUES": structs.QUEUES,
    "MAX_LEVELS": structs.MAX_LEVELS,
    "MAX_FILLS": structs.MAX_FILLS,
    "MAX_STREAMS": structs.MAX_STREAMS,
    "MAX_UNWRITTEN": structs.MAX_UNWRITTEN,
    "MAX_DST": instructions.MAX_DST,
    "MAX_SRC": instructions.MAX_SRC,
    "REGISTER_NONE": instructions.NONE,
    "ZERO_REGISTER": micro_ops.ZERO,
    "SINK_REGISTER": micro_ops.SINK,
    "IMPORT_BYTES": imports.IMPORT_BYTES,
    "1 << PAGE_SHIFT": builder.PAGE,
    **{
        f"REPLACE_{name.upper().replace('-', '_')}": number
        for number, name in enumerate(structs.REPLACEMENTS)
    },
}


class _Field(NamedTuple):
    name: str
    offset: int
    c_type: str


def headers() -> dict[str, str]:
    """Text by the name under which C includes it."""
    listed = " ".join(f"X({op.name})" for op in Op)
    return {
        "micro_ops.h": f"#define MICRO_OPS(X) {listed}\n",
        "layouts.h": "#include <stddef.h>\n" + "".join(_assertions()),
    }


def _assertions() -> Iterator[str]:
    for name, struct in STRUCTS.items():
        yield from _same_struct(name, ctypes.sizeof(struct), _fields(struct))
    for name, dtype in ARRAYS.items():
        yield from _same_struct(name, dtype.itemsize, _columns(dtype))
    for prefix, enum in ENUMS:
        for one in enum:
            yield _assert(f"{prefix}{one.name} == {one.value}", f"{enum.__name__}.{one.name}")
    for name, value in NUMBERS.items():
        yield _assert(f"{name} == {value}", name)


def _assert(condition: str, what: str) -> str:
    return f'_Static_assert({condition}, "{what} is another in C than in Python");\n'


def _same_struct(struct: str, size: int, fields: Iterable[_Field]) -> Iterator[str]:
    for one in fields:
        what, field = f"{struct}.{one.name}", f"__typeof__((({struct} *)0)->{one.name})"
        yield _assert(f"offsetof({struct}, {one.name}) == {one.offset}", f"the place of {what}")
        yield _assert(f"__builtin_types_compatible_p({field}, {one.c_type})", f"the type of {what}")
    yield _assert(f"sizeof({struct}) == {size}", f"the size of {struct}")


def _fields(struct: type[ctypes.Structure]) -> Iterator[_Field]:
    for name, kind in ((one[0], one[1]) for one in struct._fields_):
        yield _Field(name, getattr(struct, name).offset, _c_type(kind))


def _c_type(kind: Any) -> str:
    if issubclass(kind, ctypes.Array):
        lengths = ""
        while issubclass(kind, ctypes.Array):
            lengths += f"[{kind._length_}]"
            kind = kind._type_
        return _c_type(kind) + lengths
    if issubclass(kind, ctypes.Structure):
        return next(name for name, struct in STRUCTS.items() if struct is kind)
    return "double" if kind is ctypes.c_double else _c_number(np.dtype(kind))


def _columns(dtype: "np.dtype[Any]") -> Iterator[_Field]:
    for name, (kind, offset, *_) in (dtype.fields or {}).items():
        lengths = "".join(f"[{length}]" for length in kind.shape)
        yield _Field(name, offset, _c_number(kind.base) + lengths)


def _c_number(kind: "np.dtype[Any]") -> str:
    return f"{'u' if kind.kind == 'u' else ''}int{8 * kind.itemsize}_t"
