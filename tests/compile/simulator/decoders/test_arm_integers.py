# SPDX-License-Identifier: Apache-2.0
"""32-bit ARM code of 8-bit integer kernels: decoded from machine code, and priced by the pipeline files."""

from pathlib import Path

import pytest

from mnc.compile.simulator.isa.instructions import FIRST_VECTOR, NONE, Class
from tests.compile.simulator.assembled import assembled
from tests.compile.simulator.core.streams import Step, cycles_a_pass, params

V = FIRST_VECTOR
# Class, and whether the target is added to, by text.
DECODED = {
    "vmull.s8 q0, d2, d3": (Class.VEC_MUL_LONG, False),
    "vmlal.s8 q0, d2, d3": (Class.VEC_MUL_LONG, True),
    "vmlal.s16 q0, d2, d3[1]": (Class.VEC_MUL_LONG, True),
    "vmlsl.s16 q0, d2, d3": (Class.VEC_MUL_LONG, True),
    "vmla.i16 q0, q1, q2": (Class.VEC_MUL, True),
    "vqrdmulh.s32 q0, q1, q2": (Class.VEC_MUL, False),
    "vqdmulh.s16 q0, q1, q2": (Class.VEC_MUL, False),
    "vpadal.s16 q0, q1": (Class.VEC_ACCUMULATE, True),
    "vpaddl.s16 q0, q1": (Class.VEC_INT, False),
    "vaddl.s8 q0, d2, d3": (Class.VEC_INT, False),
    "vaddw.s16 q0, q1, d4": (Class.VEC_INT, False),
    "vqadd.s16 q0, q1, q2": (Class.VEC_INT, False),
    "vqmovn.s16 d0, q1": (Class.VEC_NARROW, False),
    "vqmovun.s16 d0, q1": (Class.VEC_NARROW, False),
    "vqrshrn.s32 d0, q1, #2": (Class.VEC_NARROW, False),
    "vqshrn.s32 d0, q1, #2": (Class.VEC_NARROW, False),
    "vqshrun.s32 d0, q1, #2": (Class.VEC_NARROW, False),
    "vrshl.s32 q0, q1, q2": (Class.VEC_SHIFT_BY, False),
    "vshr.s16 q0, q1, #2": (Class.VEC_SHIFT, False),
    "vmovn.i16 d0, q1": (Class.VEC_PERMUTE, False),
    "vtbl.8 d0, {d2}, d3": (Class.VEC_ZIP, False),
    "vsdot.s8 q0, q1, q2": (Class.VEC_DOT, True),
    "vudot.u8 q0, q1, d4[1]": (Class.VEC_DOT, True),
    "vcvt.f32.s32 q0, q1": (Class.FP_CONVERT, False),
    "vcvtn.s32.f32 q0, q1": (Class.FP_CONVERT, False),
    # As in float kernels, whose prices stay.
    "vshl.i32 q0, q1, #31": (Class.VEC_INT, False),
    "vcvt.s32.f32 q0, q1": (Class.FP_ADD, False),
}


def test_classes_and_accumulators(tmp_path: Path) -> None:
    for text, (one,) in zip(DECODED, assembled("arm", [*DECODED], tmp_path), strict=True):
        cls, adds = DECODED[text]
        assert one.cls == cls, text
        assert (one.accumulator != NONE and one.src[one.accumulator] == one.dst[0]) == adds, text
        assert (one.dst[0] in one.src) == adds, text
        assert len(one.src) > adds, text


@pytest.mark.parametrize(
    ("target", "text", "apart", "chained"),
    [
        ("rpi3b", "vmlal.s8 q{}, d30, d31", 1, 4),
        ("rk3399", "vmlal.s8 q{}, d30, d31", 1, 1),
        ("pynq", "vmlal.s8 q{}, d30, d31", 1, 3),
        ("pynq", "vpadal.s16 q{}, q15", 2, 4),
    ],
)
def test_prices(target: str, text: str, apart: float, chained: float, tmp_path: Path) -> None:
    lines = [text.format(k) for k in range(12)]
    body = [Step(one) for (one,) in assembled("arm", lines, tmp_path)]
    assert cycles_a_pass(params(target), body) / 12 == pytest.approx(apart, rel=0.04)
    assert cycles_a_pass(params(target), body[:1]) == pytest.approx(chained, rel=0.04)
