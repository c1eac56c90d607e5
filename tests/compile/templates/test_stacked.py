# SPDX-License-Identifier: Apache-2.0
"""Which buffers around tiles in assembly TVM leaves on the stack."""

from typing import Any

import pytest
import tvm
from tvm import tir

from mnc.compile.templates import stacked, store_first


def _allocation(size: int, called: str) -> Any:
    """After the pass, of a buffer that a function of that name reads."""
    read = tir.decl_buffer((size,), "int8x16", "read")
    call = tir.Evaluate(tir.call_extern("int32", called, read.access_ptr("r")))
    body = tir.Allocate(read.data, "int8x16", [size], tir.const(1, "bool"), call)
    return stacked.PASS(tvm.IRModule({"main": tir.PrimFunc([], body)}))["main"].body


@pytest.mark.parametrize(
    ("size", "called", "kept"),
    [
        (81, f"{store_first.PREFIX}_x", True),
        (stacked.MOST_BYTES // 16 + 1, f"{store_first.PREFIX}_x", False),
        (81, "another", False),
    ],
    ids=["small", "large", "another"],
)
def test_what_tiles_in_assembly_read_is_on_the_stack_where_small(
    size: int, called: str, kept: bool
) -> None:
    assert (stacked.KEPT in _allocation(size, called).annotations) is kept
