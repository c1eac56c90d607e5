# SPDX-License-Identifier: Apache-2.0
"""C and Python declare the same: what changes on one side alone does not compile, and the error names it."""

import ctypes
import shutil
from pathlib import Path

import pytest

from mnc.compile.simulator.core import c_headers, native
from mnc.compile.simulator.core.structs import CoreParams
from mnc.support.errors import UserError


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the C sources."""
    folder = tmp_path / "core"
    shutil.copytree(native.HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return folder


CHANGES = (
    ("pipeline.h", "mispredict, taken;", "taken, mispredict;", "place of core_params.mispredict"),
    ("pipeline.h", "int8_t latency;", "uint8_t latency;", "type of op_params.latency"),
    ("pipeline.h", "CAUSE_FMA, CAUSE_VECTOR,", "CAUSE_VECTOR, CAUSE_FMA,", "Cause.FMA"),
    ("pipeline.h", "dram_lines, tlb_misses", "tlb_misses, dram_lines", "core_stats.dram_lines"),
    ("memory.h", "ways, latency;", "latency, ways;", "place of cache_params.ways"),
    ("memory.h", "uint32_t write_back;", "uint32_t more, write_back;", "memory_params.write_back"),
    ("memory.h", "REPLACE_RANDOM, REPLACE_TREES", "REPLACE_TREES, REPLACE_RANDOM", "REPLACE_RANDOM"),
    ("memory.h", "MAX_FILLS = 64", "MAX_FILLS = 32", "MAX_FILLS"),
    ("core.h", "loads, stores;", "stores, loads;", "place of insn.loads"),
    ("core.h", "CLASS_FMA, CLASS_FP_ADD,", "CLASS_FP_ADD, CLASS_FMA,", "Class.FMA"),
    ("core.h", "INSN_STACK = 4", "INSN_STACK = 16", "Flag.STACK"),
    ("interpret.h", "uint8_t op, size,", "uint8_t size, op,", "place of micro_op.op"),
    ("interpret.h", "heap, heap_bytes;", "heap_bytes, heap;", "place of machine_layout.heap"),
    ("interpret.h", "TOUCHED, TIMED,", "TIMED, TOUCHED,", "Mode.TOUCHED"),
    ("interpret.h", "RAN, FAULT,", "FAULT, RAN,", "RunOutcome.RAN"),
    ("interpret.h", "IMPORT_LAUNCH, IMPORT_BARRIER,", "IMPORT_BARRIER, IMPORT_LAUNCH,", "Import.LAUNCH"),
)  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "named"), CHANGES, ids=[one[3] for one in CHANGES])
def test_what_only_c_declares_does_not_compile(
    file: str, old: str, new: str, named: str, sources: Path
) -> None:
    (path,) = sources.rglob(file)
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{file} no longer holds {old!r} once: adapt the test"
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(UserError, match="cannot be compiled") as refused:
        native.library(sources / "simulator.c")
    assert named in str(refused.value)
    assert "is another in C than in Python" in str(refused.value)


def test_what_only_python_declares_does_not_compile(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = list(CoreParams._fields_)
    at = [one[0] for one in fields].index("window")
    fields[at - 1], fields[at] = fields[at], fields[at - 1]
    swapped = type("Swapped", (ctypes.Structure,), {"_fields_": fields})
    monkeypatch.setitem(c_headers.STRUCTS, "core_params", swapped)
    with pytest.raises(UserError, match=r"the place of core_params\.window is another in C"):
        native.library(sources / "simulator.c")


def test_what_both_declare_compiles(sources: Path) -> None:
    assert native.library(sources / "simulator.c").core_create
