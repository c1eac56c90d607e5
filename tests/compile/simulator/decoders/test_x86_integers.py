# SPDX-License-Identifier: Apache-2.0
"""x86-64 code of 8-bit integer kernels: decoded from machine code, and priced by the pipeline files."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from mnc.compile.simulator.core.params import core_params
from mnc.compile.simulator.core.structs import CoreParams
from mnc.compile.simulator.isa.instructions import FIRST_VECTOR, NONE, Class
from mnc.targets import load
from tests.compile.simulator.assembled import assembled
from tests.compile.simulator.core.streams import Step, cycles_a_pass

V = FIRST_VECTOR
# Class, width, and operations, by text.
DECODED = {
    "vpdpbusd zmm0, zmm1, zmm2": (Class.VEC_DOT, 64, 128),
    "vpdpbusd zmm0, zmm1, dword ptr [rax]{1to16}": (Class.VEC_DOT, 64, 128),
    "{vex} vpdpbusd ymm0, ymm1, ymm2": (Class.VEC_DOT, 32, 64),
    "vpdpbusds xmm0, xmm1, xmm2": (Class.VEC_DOT, 16, 32),
    "vpdpwssd ymm0, ymm1, ymm2": (Class.VEC_DOT, 32, 32),
    "vpmaddwd zmm0, zmm1, zmm2": (Class.VEC_MUL, 64, 0),
    "vpmaddubsw ymm0, ymm1, ymm2": (Class.VEC_MUL, 32, 0),
    "vpmullw xmm0, xmm1, xmm2": (Class.VEC_MUL, 16, 0),
    "vpermb zmm0, zmm1, zmm2": (Class.VEC_PERMUTE, 64, 0),
    "vpshufb ymm0, ymm1, ymm2": (Class.VEC_PERMUTE, 32, 0),
    "vpackssdw ymm0, ymm1, ymm2": (Class.VEC_PERMUTE, 32, 0),
    "vpackuswb zmm0, zmm1, zmm2": (Class.VEC_PERMUTE, 64, 0),
    "vpmovdb xmm0, zmm1": (Class.VEC_NARROW, 64, 0),
    "vpmovusdb xmm0, ymm1": (Class.VEC_NARROW, 32, 0),
    "vpmovsdb xmmword ptr [rax], zmm1": (Class.STORE_VEC, 64, 0),
    "vpmovsxbd zmm0, xmm1": (Class.VEC_PERMUTE, 64, 0),
    "vpmovzxbd ymm0, qword ptr [rax]": (Class.VEC_PERMUTE, 32, 0),
    "vpaddusb zmm0, zmm1, zmm2": (Class.VEC_INT, 64, 0),
    "vcvtdq2ps zmm0, zmm1": (Class.FP_ADD, 64, 16),
    "vcvtps2dq ymm0, ymm1": (Class.FP_ADD, 32, 8),
    "vrndscaleps zmm0, zmm1, 8": (Class.FP_ADD, 64, 16),
}


def test_classes_widths_and_operations(tmp_path: Path) -> None:
    for text, (one,) in zip(DECODED, assembled("x86_64", [*DECODED], tmp_path), strict=True):
        assert (one.cls, one.width, one.flops) == DECODED[text], text
        adds = one.cls == Class.VEC_DOT
        assert (one.accumulator != NONE and one.src[one.accumulator] == V) == adds, text
        assert (V in one.src) == adds, text


def _core(cpu: str) -> CoreParams:
    board = load("rk3399")
    core = replace(board.fast, cpu=cpu, vector_bits=512, in_order=False)
    return core_params(replace(board, cores=(core,)), threads=1)


@pytest.mark.parametrize(
    ("cpu", "text", "apart", "chained"),
    [
        # As many as multiply-adds, of whose cycles 512 bits take Zen 4 two.
        ("znver4", "vpdpbusd zmm{}, zmm30, zmm31", 1, 4),
        ("znver4", "vpdpbusd ymm{}, ymm30, ymm31", 0.5, 4),
        ("znver5", "vpdpbusd zmm{}, zmm30, zmm31", 0.5, 4),
        ("icelake-server", "vpdpbusd zmm{}, zmm30, zmm31", 0.5, 5),
        ("cascadelake", "vpdpbusd zmm{}, zmm30, zmm31", 0.5, 5),
        ("sapphirerapids", "vpdpbusd zmm{}, zmm30, zmm31", 0.5, 5),
        ("icelake-server", "vpmovdb xmm{}, zmm31", 2, None),
        ("skylake", "vpmaddubsw ymm{}, ymm14, ymm15", 0.5, None),
    ],
)
def test_prices(cpu: str, text: str, apart: float, chained: float | None, tmp_path: Path) -> None:
    lines = [text.format(k) for k in range(12)]
    body = [Step(one) for (one,) in assembled("x86_64", lines, tmp_path)]
    assert cycles_a_pass(_core(cpu), body) / 12 == pytest.approx(apart, rel=0.04)
    if chained is not None:
        assert cycles_a_pass(_core(cpu), body[:1]) == pytest.approx(chained, rel=0.04)
