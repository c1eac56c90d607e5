# SPDX-License-Identifier: Apache-2.0
"""Cores against cycles worked out by hand from their guides: chains, pipes, loads, order, branches."""

import pytest

from mnc.compile.simulator.core.structs import Cause
from tests.compile.simulator.core.streams import (
    BASE,
    Run,
    add,
    branch,
    cycles_a_pass,
    fma,
    golden_cove,
    load_pointer,
    load_several,
    load_vector,
    nop,
    params,
    store_vector,
    walk,
)

A53, A72, A76, A9 = "rpi3b", "rk3399", "rk3588", "pynq"


@pytest.mark.parametrize(
    ("target", "cycles"),
    [(A53, 4), (A72, 3), (A76, 2)],  # the accumulator is forwarded late
)
def test_a_chain_of_multiply_adds_costs_its_late_forwarding(target: str, cycles: int) -> None:
    assert cycles_a_pass(params(target), [fma(0, 1, 2)]) == pytest.approx(cycles, rel=0.01)


@pytest.mark.parametrize(
    ("target", "cycles"),
    [(A53, 8), (A72, 7), (A76, 4)],  # through a multiplicand: the whole latency
)
def test_a_chain_through_a_factor_costs_the_whole_latency(target: str, cycles: int) -> None:
    assert cycles_a_pass(params(target), [fma(0, 1, 0), fma(1, 2, 0)]) == pytest.approx(
        2 * cycles, rel=0.05
    )


@pytest.mark.parametrize(
    ("target", "cycles"),
    # A53, A72: both 64-bit pipes; A76: two 128-bit pipes; A9: four passes through one 64-bit pipe.
    [(A53, 12), (A72, 12), (A76, 6), (A9, 48)],
)
def test_independent_multiply_adds_fill_the_pipes(target: str, cycles: int) -> None:
    body = [fma(k, 30, 31) for k in range(12)]
    assert cycles_a_pass(params(target), body) == pytest.approx(cycles, rel=0.01)


@pytest.mark.parametrize(("target", "cycles"), [(A53, 3), (A72, 5), (A76, 5)])
def test_a_chain_of_loads_costs_the_latency_of_l1(target: str, cycles: int) -> None:
    body = [load_pointer(0, 0, lambda n: BASE)]
    assert cycles_a_pass(params(target), body) == pytest.approx(cycles, rel=0.01)


@pytest.mark.parametrize(
    ("target", "cycles"),
    # A53: 2 cycles of its 64-bit path; A72: one a cycle; A76: two a cycle.
    [(A53, 2), (A72, 1), (A76, 0.5)],
)
def test_vector_loads_from_l1_have_the_width_of_its_path(target: str, cycles: float) -> None:
    body = [load_vector(k, 0, walk(offset=16 * k)) for k in range(8)]
    assert cycles_a_pass(params(target), body) / 8 == pytest.approx(cycles, rel=0.02)


def test_stores_and_multiply_adds_overlap_out_of_order() -> None:
    """12 cycles of multiply-adds hide 4 loads: the A72 issues both at once."""
    body = [fma(k, 30, 31) for k in range(12)]
    body += [load_vector(20 + k, 0, walk(offset=16 * k)) for k in range(4)]
    assert cycles_a_pass(params(A72), body) == pytest.approx(12, rel=0.02)


def test_a_128_bit_load_keeps_the_vector_pipes_of_the_a53() -> None:
    """12 cycles of multiply-adds, and two of each of 4 loads (measured: qsdr's instruction benchmarks)."""
    body = [fma(k, 30, 31) for k in range(12)]
    body += [load_vector(20 + k, 0, walk(offset=16 * k)) for k in range(4)]
    assert cycles_a_pass(params(A53), body) == pytest.approx(20, rel=0.02)


def test_the_a53_loads_64_bits_a_cycle_and_stores_128() -> None:
    """What is not aligned to that takes a cycle more."""
    for make, offset, cycles in (
        (load_vector, 0, 2),
        (load_vector, 4, 3),
        (store_vector, 0, 1),
        (store_vector, 4, 2),
    ):
        body = [make(k, 0, walk(offset=16 * k + offset)) for k in range(8)]
        assert cycles_a_pass(params(A53), body) / 8 == pytest.approx(cycles, rel=0.05)


def test_the_a73_decodes_a_128_bit_operation_in_two_places() -> None:
    """12 multiply-adds fill its decoder for 12 cycles, and 12 more instructions take 6."""
    body = [one for k in range(12) for one in (fma(k, 30, 31), add(1 + k % 8, 20))]
    assert cycles_a_pass(params("kirin970"), body) == pytest.approx(18, rel=0.02)


@pytest.mark.parametrize(("target", "cycles"), [("kirin970", 12 + 8), (A72, 12)])
def test_a_load_of_several_registers_keeps_the_decoder_of_the_a73(target: str, cycles: int) -> None:
    """Eight cycles for four registers of 128 bits; the A72 hides it behind 12 of multiply-adds."""
    body = [fma(k, 30, 31) for k in range(12)] + [load_several(20, 0, walk())]
    assert cycles_a_pass(params(target), body) == pytest.approx(cycles, rel=0.02)


def test_in_order_stalls_on_use_where_out_of_order_goes_on() -> None:
    """A load that comes from L2 and its use, then other work: in order waits, out of order does not."""
    far = 1 << 18
    body = [
        load_vector(20, 0, lambda n: BASE + n * 4096 % far),
        fma(0, 20, 31),
        *[fma(k, 30, 31) for k in range(1, 12)],
    ]
    in_order = cycles_a_pass(params(A53), body, 600)
    out_of_order = cycles_a_pass(params(A72), body, 600)
    assert in_order > 24
    assert out_of_order < 15


def test_hits_go_on_under_a_miss_in_order() -> None:
    """Work that does not use the missing line issues meanwhile: the miss costs nothing here."""
    body = [load_vector(20, 0, lambda n: BASE + n * 4096 % (1 << 18))]
    body += [fma(k, 30, 31) for k in range(12)]
    body += [fma(k, 30, 31) for k in range(12)]
    body += [fma(0, 20, 31)]
    assert cycles_a_pass(params(A53), body, 600) < 30


def test_a_store_is_forwarded_to_the_load_after_it() -> None:
    """An accumulator kept in memory: load, add, store back, again."""
    body = [
        load_vector(0, 0, lambda n: BASE),
        fma(0, 30, 31),
        store_vector(0, 0, lambda n: BASE),
    ]
    cycles = cycles_a_pass(params(A72), body)
    assert 10 <= cycles <= 16  # 7 for the multiply-add, 5 to forward, issue between


def test_a_loop_is_guessed_right_and_its_exit_wrong() -> None:
    p = params(A72)
    stats = Run(p, [add(1, 1), branch()]).run(1000)
    assert stats.mispredicted <= 20


def test_cycles_are_charged_to_what_they_wait_for() -> None:
    body = [fma(k, 30, 31) for k in range(12)]
    stats = Run(params(A72), body).run(1000)
    assert stats.causes[Cause.FMA] > 0.95 * stats.cycles
    assert sum(stats.causes) == pytest.approx(stats.cycles, rel=0.01)
    chain = Run(params(A72), [fma(0, 1, 2)]).run(1000)
    assert chain.causes[Cause.LATENCY] > 0.95 * chain.cycles


@pytest.mark.parametrize("target", [A53, A72, A76, A9, "kirin970"])
def test_the_same_stream_costs_the_same_cycles_again(target: str) -> None:
    body = [load_vector(20, 0, lambda n: BASE + 64 * n), fma(0, 20, 1), branch()]
    first = Run(params(target), body).run(3000)
    second = Run(params(target), body).run(3000)
    assert bytes(first) == bytes(second)


def test_ports_bound_at_dispatch_cost_what_a_better_choice_would_gain() -> None:
    """Independent work still fills the pipes; a mix in which timing decides does not."""
    full = [fma(k, 30, 31) for k in range(12)]
    mixed = [add(0, 0), fma(0, 30, 31), add(1, 0), fma(1, 30, 31), fma(2, 30, 31), fma(3, 0, 30)]
    free, bound = params(A76), params(A76)
    bound.binds = 1
    assert cycles_a_pass(bound, full) == cycles_a_pass(free, full)
    assert cycles_a_pass(bound, mixed) > cycles_a_pass(free, mixed)


def test_a_load_before_its_stores_data_comes_again() -> None:
    """A sum kept in memory: each return takes the load port, which other loads want too."""
    body = [load_vector(k, 0, walk(offset=512)) for k in (1, 2)]
    body += [load_vector(0, 0, walk()), fma(0, 30, 31), store_vector(0, 0, walk())]
    once, again = params(A76), params(A76)
    again.replays = 8
    assert cycles_a_pass(again, body) > cycles_a_pass(once, body) + 1


def test_ports_bound_place_by_place_meet_unevenly() -> None:
    """8 chains of 4 cycles fill two ports. With a nop after each multiply-add all 3 of a group go to one
    port: 0.60 cycles each on an Emerald Rapids, where a nop after every second leaves 0.53.
    """
    chains = [fma(k, 30, 31, 64) for k in range(8)] * 6

    def cycles(every: int) -> float:
        body = []
        for k, one in enumerate(chains, 1):
            body += [one, nop()] if k % every == 0 else [one]
        return cycles_a_pass(golden_cove(), body, 500) / len(chains)

    assert cycles(2) == pytest.approx(0.5, rel=0.02)
    assert cycles(1) > 1.08 * cycles(2)


def test_a_load_like_a_store_without_data_is_late() -> None:
    """14 times a load, and two sums from it stored: 1.26 cycles a store on an Emerald Rapids, 1.73 where a
    load's place within its page is that of the store just before.
    """

    def cycles(distance: int) -> float:
        body = []
        for k in range(14):
            body.append(load_vector(31, 1, walk(offset=65536 + 64 * ((k + 13) % 14) + distance), 4))
            for half in (0, 1):
                body.append(fma(2 * k + half, 31, 30, 64))
                body.append(store_vector(2 * k + half, 0, walk(offset=64 * k + 896 * half), 64))
        return cycles_a_pass(golden_cove(), body) / 28

    assert cycles(2048) == pytest.approx(1.0, rel=0.1)
    assert 1.2 < cycles(0) / cycles(2048) < 1.6


def test_a_line_a_cycle_leaves_the_store_buffer() -> None:
    two_lines = [store_vector(0, 0, walk(offset=64 * k), 32) for k in range(8)]
    one_line = [store_vector(0, 0, walk(offset=64 * (k // 2) + 32 * (k % 2)), 32) for k in range(8)]
    assert cycles_a_pass(golden_cove(), two_lines) == pytest.approx(8, rel=0.02)
    assert cycles_a_pass(golden_cove(), one_line) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("target", [A53, A72, A76])
def test_what_a_branch_does_again_and_again_is_learnt(target: str) -> None:
    """Twice passed over in five passes; by its share alone it would be wrong 2 times of 5."""
    run = Run(params(target), [branch(), add(1, 1), add(2, 2), branch()])

    def path(n: int) -> tuple[int, ...]:
        return (0, 2, 3) if n % 5 < 2 else (0, 1, 2, 3)

    run.run(2000, path)
    assert run.run(2000, path).mispredicted < 40
