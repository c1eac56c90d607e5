# SPDX-License-Identifier: Apache-2.0
"""What a block of code tells of addresses that the emulator does not tell."""

import numpy as np
import pytest

from mnc.compile.simulator.isa.instructions import Class
from mnc.compile.tracing.blocks import Blocks

LOAD = 0x3DC00400  # ldr q0, [x0, #16]
PREFETCH = 0xF9800520  # prfm pldl1keep, [x9, #8]
COPY, ADD, SUB = (
    0xAA0003E9,
    0x91400529,
    0xD1010129,
)  # mov x9, x0; add x9, x9, #4096; sub x9, x9, #64
MULTIPLY = 0x9B097D29  # mul x9, x9, x9
FAR = 0x91401009  # add x9, x0, #16384


@pytest.mark.parametrize(
    ("code", "beyond"),
    [
        ((COPY, ADD, SUB, PREFETCH, LOAD), 4096 - 64 + 8 - 16),
        ((LOAD, FAR, PREFETCH), 16384 + 8 - 16),
        ((COPY, MULTIPLY, PREFETCH, LOAD), None),
        ((PREFETCH, LOAD), None),
    ],
)
def test_a_prefetch_is_where_constants_added_to_another_access_s_register_lead(
    code: tuple[int, ...], beyond: int | None
) -> None:
    blocks = Blocks()
    found = blocks.decoded(0, 0x1000, np.array(code, "<u4").tobytes())
    at = found.start + code.index(PREFETCH)
    known = blocks.insns["cls"][at] == Class.PREFETCH
    assert known == (beyond is not None)
    if known:
        assert blocks.entries["origin"][at] == code.index(LOAD)
        assert blocks.entries["by"][at] == beyond
