# SPDX-License-Identifier: Apache-2.0
"""AArch64 code of kernels in 8-bit integers and in half precision: decoded from machine code, and priced as
vendors' guides say.
"""

from pathlib import Path

import pytest

from mnc.compile.simulator.isa.instructions import FIRST_VECTOR, NONE, Class, Instruction
from tests.compile.simulator.assembled import assembled
from tests.compile.simulator.core.streams import Step, cycles_a_pass, params

V = FIRST_VECTOR
A53, A55, A72, A76 = "rpi3b", "cortex_a55", "rk3399", "rk3588"

# Class, whether the first operand is an accumulator, and operations, by text.
DECODED = {
    "smull v0.8h, v1.8b, v2.8b": (Class.VEC_MUL_LONG, False, 8),
    "umull2 v0.8h, v1.16b, v2.16b": (Class.VEC_MUL_LONG, False, 8),
    "smlal2 v0.8h, v1.16b, v2.16b": (Class.VEC_MUL_LONG, True, 16),
    "smlal v0.4s, v1.4h, v2.h[3]": (Class.VEC_MUL_LONG, True, 8),
    "smlsl v0.4s, v1.4h, v2.4h": (Class.VEC_MUL_LONG, True, 8),
    "mla v0.8h, v1.8h, v2.8h": (Class.VEC_MUL, True, 16),
    "mul v0.8h, v1.8h, v2.8h": (Class.VEC_MUL, False, 8),
    "sqdmulh v0.4s, v1.4s, v2.4s": (Class.VEC_MUL, False, 4),
    "sqrdmulh v0.4s, v1.4s, v2.s[1]": (Class.VEC_MUL, False, 4),
    "sqrdmlah v0.4s, v1.4s, v2.4s": (Class.VEC_MUL, True, 8),
    "sdot v0.4s, v1.16b, v2.16b": (Class.VEC_DOT, True, 32),
    "udot v0.2s, v1.8b, v2.4b[1]": (Class.VEC_DOT, True, 16),
    "usdot v0.4s, v1.16b, v2.16b": (Class.VEC_DOT, True, 32),
    "sudot v0.4s, v1.16b, v2.4b[3]": (Class.VEC_DOT, True, 32),
    "smmla v0.4s, v1.16b, v2.16b": (Class.VEC_DOT, True, 64),
    "ummla v0.4s, v1.16b, v2.16b": (Class.VEC_DOT, True, 64),
    "usmmla v0.4s, v1.16b, v2.16b": (Class.VEC_DOT, True, 64),
    "sadalp v0.4s, v1.8h": (Class.VEC_ACCUMULATE, True, 8),
    "ssra v0.4s, v1.4s, #3": (Class.VEC_ACCUMULATE, True, 0),
    "uabal2 v0.8h, v1.16b, v2.16b": (Class.VEC_ACCUMULATE, True, 0),
    "sabal v0.8h, v1.8b, v2.8b": (Class.VEC_ACCUMULATE, True, 0),
    "sshr v0.8h, v1.8h, #3": (Class.VEC_SHIFT, False, 0),
    "shrn v0.8b, v1.8h, #3": (Class.VEC_SHIFT, False, 0),
    "sshll v0.8h, v1.8b, #0": (Class.VEC_SHIFT, False, 0),
    "srshl v0.4s, v1.4s, v2.4s": (Class.VEC_SHIFT_BY, False, 0),
    "sqrshl v0.4s, v1.4s, v2.4s": (Class.VEC_SHIFT_BY, False, 0),
    "sqshl v0.4s, v1.4s, v2.4s": (Class.VEC_SHIFT_BY, False, 0),
    "sqshl v0.4s, v1.4s, #2": (Class.VEC_NARROW, False, 0),
    "sqshrn v0.4h, v1.4s, #2": (Class.VEC_NARROW, False, 0),
    "sqrshrn v0.4h, v1.4s, #2": (Class.VEC_NARROW, False, 0),
    "sqrshrun v0.8b, v1.8h, #2": (Class.VEC_NARROW, False, 0),
    "rshrn v0.8b, v1.8h, #2": (Class.VEC_NARROW, False, 0),
    "uqxtn v0.8b, v1.8h": (Class.VEC_NARROW, False, 0),
    "sqxtun v0.8b, v1.8h": (Class.VEC_NARROW, False, 0),
    "saddlp v0.4s, v1.8h": (Class.VEC_INT, False, 0),
    "saddw2 v0.4s, v1.4s, v2.8h": (Class.VEC_INT, False, 0),
    "usubl v0.8h, v1.8b, v2.8b": (Class.VEC_INT, False, 0),
    "addhn v0.8b, v1.8h, v2.8h": (Class.VEC_INT, False, 0),
    "sqabs v0.16b, v1.16b": (Class.VEC_INT, False, 0),
    "urhadd v0.16b, v1.16b, v2.16b": (Class.VEC_INT, False, 0),
    "sqadd v0.8h, v1.8h, v2.8h": (Class.VEC_INT, False, 0),
    "tbl v0.16b, { v1.16b }, v2.16b": (Class.VEC_ZIP, False, 0),
    "zip1 v0.16b, v1.16b, v2.16b": (Class.VEC_ZIP, False, 0),
    "zip1 v0.4s, v1.4s, v2.4s": (Class.VEC_PERMUTE, False, 0),
    "scvtf v0.4s, v1.4s": (Class.FP_CONVERT, False, 0),
    "fcvtns v0.4s, v1.4s": (Class.FP_CONVERT, False, 0),
    "fcvtnu v0.4s, v1.4s": (Class.FP_CONVERT, False, 0),
    "fmlal v0.4s, v1.4h, v2.h[2]": (Class.FMA, True, 8),
    "fmlsl2 v0.4s, v1.4h, v2.4h": (Class.FMA, True, 8),
    "bfmlalb v0.4s, v1.8h, v2.8h": (Class.FMA, True, 8),
    "fmla v0.8h, v1.8h, v2.h[7]": (Class.FMA, True, 16),
    "fcvtl2 v0.4s, v1.8h": (Class.FP_CONVERT, False, 0),
    "fcvtn v0.4h, v1.4s": (Class.FP_CONVERT, False, 0),
    "fcvt s0, h1": (Class.FP_CONVERT, False, 0),
    "fcvtzs v0.8h, v1.8h": (Class.FP_CONVERT, False, 0),
    # As in float kernels, whose prices stay: masks and addresses.
    "shl v0.4s, v1.4s, #31": (Class.VEC_INT, False, 0),
    "ushll v0.4s, v1.4h, #0": (Class.VEC_INT, False, 0),
    "fcvtzs v0.4s, v1.4s": (Class.FP_ADD, False, 4),
}
# Kept in part, so read.
UPPER = ("sqxtn2", "sqxtun2", "uqxtn2", "xtn2", "sqshrn2", "sqrshrn2", "shrn2", "addhn2")


def _code(lines: list[str], folder: Path) -> list[Instruction]:
    return [part for (part,) in assembled("aarch64", lines, folder)]


def test_classes_accumulators_and_operations(tmp_path: Path) -> None:
    for text, one in zip(DECODED, _code([*DECODED], tmp_path), strict=True):
        accumulates = one.accumulator != NONE and one.src[one.accumulator] == V
        assert (one.cls, accumulates, one.flops) == DECODED[text], text
        assert one.dst == (V,), text
        assert (V in one.src) == accumulates, text
        assert V + 1 in one.src, text


def test_loads_and_stores_of_several_registers_are_told_from_pairs(tmp_path: Path) -> None:
    """Some cores do the former in many steps."""
    kinds = {
        "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x0], #64": Class.LOAD_SEVERAL,
        "st1 {v0.4s, v1.4s}, [x0]": Class.STORE_SEVERAL,
        "ld1 {v0.4s}, [x0], #16": Class.LOAD_VEC,
        "ldp q0, q1, [x0]": Class.LOAD_VEC,
        "ld1r {v0.4s}, [x0]": Class.LOAD_BROADCAST,
    }
    assert [one.cls for one in _code([*kinds], tmp_path)] == [*kinds.values()]


def test_what_fills_the_upper_half_keeps_the_lower(tmp_path: Path) -> None:
    operands = {"shr": "v0.16b, v1.8h, #2", "add": "v0.16b, v1.8h, v2.8h"}
    lines = [
        f"{name} " + next((o for key, o in operands.items() if key in name), "v0.16b, v1.8h")
        for name in UPPER
    ]
    for text, one in zip(lines, _code(lines, tmp_path), strict=True):
        assert V in one.src, text


def test_a_factor_that_is_the_sum_too_is_not_forwarded(tmp_path: Path) -> None:
    (one,) = _code(["smlal v0.8h, v0.8b, v1.8b"], tmp_path)
    assert one.accumulator == NONE


# Cycles of one of many independent ones, and of one of a chain through its accumulator.
SMLAL = "smlal v{}.8h, v30.8b, v31.8b"
SDOT = "sdot v{}.4s, v30.16b, v31.16b"
PRICES = [
    (A72, SMLAL, 1, 1),  # guide: F0, 4(1)
    (A76, SMLAL, 1, 1),  # guide: V0, 4(1)
    (A53, SMLAL, 1, 4),
    (A55, SMLAL, 1, 4),
    (A72, "mla v{}.8h, v30.8h, v31.8h", 2, 2),  # guide: F0, 5(2), 1/2
    (A76, "mla v{}.8h, v30.8h, v31.8h", 2, 2),
    (A53, "mla v{}.4h, v30.4h, v31.4h", 0.5, 4),
    (A76, SDOT, 0.5, 1),
    (A55, SDOT, 1, 4),
    (A72, "sadalp v{}.4s, v30.8h", 1, 1),  # guide: F1, 4(1)
    (A76, "sadalp v{}.4s, v30.8h", 1, 1),
    (A53, "sadalp v{}.4s, v30.8h", 1, 4),
    (A72, "sshr v{}.8h, v30.8h, #2", 1, None),
    (A72, "srshl v{}.4s, v30.4s, v31.4s", 2, None),
    (A76, "srshl v{}.4s, v30.4s, v31.4s", 1, None),
    (A72, "sqxtn v{}.8b, v30.8h", 1, None),
    (A76, "sqrshrn v{}.8b, v30.8h, #2", 1, None),
    (A72, "scvtf v{}.4s, v30.4s", 1, None),
    (A76, "scvtf v{}.4s, v30.4s", 2, None),  # guide: V0, 1/2
    (A72, "tbl v{}.16b, {{ v30.16b }}, v31.16b", 1.5, None),
    (A76, "zip1 v{}.16b, v30.16b, v31.16b", 0.5, None),
    (A76, "fmla v{}.8h, v30.8h, v15.h[7]", 0.5, 2),  # guide: V, 4(2), 2 a cycle
    (A55, "fmla v{}.8h, v30.8h, v15.h[7]", 1, 4),
    (A76, "fadd v{}.8h, v30.8h, v31.8h", 0.5, None),
    (A55, "fmax v{}.8h, v30.8h, v31.8h", 1, None),
    (A76, "fcvtl v{}.4s, v30.4h", 2, None),  # guide: V0, 1/2
    (A76, "fcvtn v{}.4h, v30.4s", 2, None),
    (A55, "fcvtl v{}.4s, v30.4h", 1, None),
    (A72, "sqadd v{}.8h, v30.8h, v31.8h", 0.5, None),
]


def test_prices_are_the_guides(tmp_path: Path) -> None:
    for target, text, apart, chained in PRICES:
        core, count = params(target), 12
        body = _code([text.format(k) for k in range(count)], tmp_path)
        cycles = cycles_a_pass(core, [Step(one) for one in body]) / count
        assert cycles == pytest.approx(apart, rel=0.03), (target, text)
        if chained is not None:
            chain = cycles_a_pass(core, [Step(body[0])])
            assert chained == pytest.approx(chain, rel=0.03), (target, text)


def test_products_and_pairwise_sums_share_out_the_pipes(tmp_path: Path) -> None:
    """16 multiply-adds of bytes: two products and a sum. A72, A76: the pipe of products bounds them to 8 a
    cycle, the A53's one to 5.33.
    """
    lines = []
    for k in range(6):
        lines += [
            f"smull v{16 + k}.8h, v30.8b, v31.8b",
            f"smlal2 v{16 + k}.8h, v30.16b, v31.16b",
            f"sadalp v{k}.4s, v{16 + k}.8h",
        ]
    # In order, what hides latencies is the order of instructions.
    by_kind = [lines[start + 3 * k] for start in range(3) for k in range(6)]
    for target, order, cycles in ((A72, lines, 12), (A76, lines, 12), (A53, by_kind, 18)):
        body = [Step(one) for one in _code(order, tmp_path)]
        assert cycles_a_pass(params(target), body) == pytest.approx(cycles, rel=0.03), target
