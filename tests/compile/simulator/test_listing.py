# SPDX-License-Identifier: Apache-2.0
"""Loops are found by their backward branches; an inner loop that takes most of an outer one stands for it."""

from mnc.compile.simulator.listing import ListedInstruction, loops

NEST = (
    ListedInstruction(0x100, "mov x0, #0", 1, 1.0),
    ListedInstruction(0x104, "ldr q0, [x1], #16", 10, 20.0),
    ListedInstruction(0x108, "fmla v1.4s, v0.4s, v2.4s", 1000, 900.0),
    ListedInstruction(0x10C, "cbnz x2, 0x120", 1000, 0.0),
    ListedInstruction(0x110, "brk #1", 0, 0.0),
    ListedInstruction(0x114, "b.ne 0x108", 1000, 100.0),
    ListedInstruction(0x118, "b.ne 0x104", 10, 5.0),
    ListedInstruction(0x11C, "ret", 1, 1.0),
)


def test_the_inner_loop_stands_for_the_nest() -> None:
    (loop,) = loops(NEST)
    assert [line.address for line in loop.lines] == [0x108, 0x10C, 0x114]
    assert (loop.passes, loop.cycles, loop.each) == (1000, 1000.0, 1.0)


def test_an_outer_loop_with_work_of_its_own_is_shown_too() -> None:
    heavy = [
        line if line.address != 0x104 else ListedInstruction(0x104, line.text, 10, 2e4)
        for line in NEST
    ]
    outer, inner = loops(heavy)
    assert outer.lines[0].address == 0x104 and inner.lines[0].address == 0x108
    assert outer.passes == 10


def test_other_architectures_branches_are_known() -> None:
    for text in ("jne 0x0", "jmp 0x0", "bne 0x0", "b.lo 0x0", "cbz w1, 0x0", "tbnz w0, #3, 0x0"):
        assert ListedInstruction(16, text, 1, 1.0).jumps_to == 0, text
    for text in ("bl 0x0", "call 0x0", "bic x0, x0, x1", "bfi w0, w1, #3, #4", "ldr x0, [x1]"):
        assert ListedInstruction(16, text, 1, 1.0).jumps_to is None, text


def test_straight_code_has_no_loop() -> None:
    assert loops(NEST[:3]) == ()
