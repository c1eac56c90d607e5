# SPDX-License-Identifier: Apache-2.0
"""The 32-bit ARM decoder: names, conditions and lists one by one, and real kernels' work counted."""

import pytest

from mnc.compile.simulator.decoders.arm.decode import decode
from mnc.compile.simulator.decoders.arm.operands import name_of
from mnc.compile.simulator.isa.errors import SimulationError
from mnc.compile.simulator.isa.instructions import (
    FIRST_VECTOR,
    FLAGS,
    Class,
    Flag,
    Instruction,
    Line,
)
from mnc.compile.simulator.isa.micro_ops import Condition, Op
from mnc.compile.simulator.simulate import simulate
from mnc.targets import load
from tests.compile.simulator import arm_kernels

V = FIRST_VECTOR
SP, LR = 13, 14


def parts(text: str) -> tuple[Instruction, ...]:
    mnemonic, _, operands = text.partition(" ")
    return decode(Line(0x1000, 4, mnemonic, operands))


def one(text: str) -> Instruction:
    (part,) = parts(text)
    return part


@pytest.mark.parametrize(
    ("text", "stem", "condition", "sets_flags"),
    [
        ("bls", "b", Condition.LS, False),
        ("blt", "b", Condition.LT, False),
        ("bleq", "bl", Condition.EQ, False),
        ("blo", "b", Condition.CC, False),
        ("movs", "mov", Condition.AL, True),
        ("movls", "mov", Condition.LS, False),
        ("lsls", "lsl", Condition.AL, True),
        ("smlal", "smlal", Condition.AL, False),
        ("vmls.f32", "vmls", Condition.AL, False),
        ("vldrne", "vldr", Condition.NE, False),
        ("vmovge.f32", "vmov", Condition.GE, False),
        ("vcge.f32", "vcge", Condition.AL, False),
    ],
)
def test_names(text: str, stem: str, condition: Condition, sets_flags: bool) -> None:
    found = name_of(text)
    assert (found.stem, found.condition, found.sets_flags) == (stem, condition, sets_flags)


def test_a_multiply_add_reads_quadwords() -> None:
    found = one("vfma.f32 q8, q9, q10")
    assert (found.cls, found.width, found.flops) == (Class.FMA, 16, 8)
    assert (found.dst, found.src, found.accumulator) == ((V + 8,), (V + 8, V + 9, V + 10), 0)
    by_element = one("vmla.f32 q8, q9, d3[1]")
    assert by_element.src == (V + 8, V + 9, V + 1)
    assert by_element.flags & Flag.BY_ELEMENT


def test_d_and_s_registers_alias_quadwords() -> None:
    assert one("vldr d3, [r0]").dst == (V + 1,)
    assert one("vmov r0, s6").src == (V + 1,)
    assert one("vmov r0, s6").micro_ops[0].shift == 2
    # The 6 of a ReLU6: a value that is priced and not known.
    for text in ("vmov.f32 q2, #6.000000e+00", "vmov.f32 s3, #-1.500000e+00"):
        assert one(text).micro_ops[0].op == Op.V_UNKNOWN


def test_structure_loads_move_the_base() -> None:
    found = one("vld1.32 {d16, d17}, [r0:128]!")
    assert (found.cls, found.width, found.loads) == (Class.LOAD_VEC, 16, 1)
    assert found.dst == (V + 8, 0)
    assert found.dst[found.base_update] == 0
    assert (found.micro_ops[0].op, found.micro_ops[0].size) == (Op.V_LOAD, 16)
    assert found.micro_ops[-1].imm == 16
    step = one("vld1.32 {d16[], d17[]}, [r0:32], r3")
    assert (step.cls, step.width) == (Class.LOAD_BROADCAST, 16)
    assert 3 in step.src


def test_long_lists_come_in_parts() -> None:
    found = parts("push {r4, r5, r6, r7, r8, r9, r10, r11, lr}")
    assert [one_.stores for one_ in found] == [4, 4, 1]
    assert [bool(one_.flags & Flag.CONTINUES) for one_ in found] == [False, True, True]
    assert [SP in one_.dst for one_ in found] == [False, False, True]
    offsets = [op.imm for one_ in found for op in one_.micro_ops if op.op == Op.STORE]
    assert offsets == list(range(-36, 0, 4))


def test_conditional_results_are_chosen() -> None:
    found = one("addeq r0, r1, r2, lsl #3")
    assert found.micro_ops[-1].op == Op.SELECT
    assert {0, 1, 2, FLAGS} <= set(found.src)
    load_ = one("ldreq r0, [r1, #4]")
    assert load_.loads == 1
    assert [op.op for op in load_.micro_ops][-1] == Op.SELECT


def test_returns_and_calls() -> None:
    assert one("bx lr").cls == Class.BRANCH
    assert one("pop {r4, pc}").micro_ops[-1].op == Op.JUMP
    assert one("blx r3").dst == (LR,)


def test_the_unknown_is_refused_by_name() -> None:
    with pytest.raises(SimulationError, match="sel r0, r1, r2"):
        parts("sel r0, r1, r2")


@pytest.mark.slow
@pytest.mark.parametrize("workload", [*arm_kernels.WORK])
def test_kernels_do_the_work_that_arithmetic_says(workload: str) -> None:
    target = load("armv7")
    for position in (0, 7):
        kernel = arm_kernels.built(workload, position, target)
        found = simulate(kernel, target, exact=True)
        # What falls on the padding may be left out, or not.
        least, most = arm_kernels.WORK[workload]
        assert least <= found.flops <= most
        assert found.cycles > found.flops / target.fast.flops_per_cycle
