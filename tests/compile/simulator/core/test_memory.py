# SPDX-License-Identifier: Apache-2.0
"""The memory system against bandwidths and latencies of the target files: L1, L2, DRAM, stores, pages."""

import random
from collections.abc import Callable
from functools import partial

import pytest

from mnc.targets import load
from tests.compile.simulator.core.streams import (
    BASE,
    Run,
    cycles_a_pass,
    golden_cove,
    load_pointer,
    load_vector,
    params,
    store_vector,
    walk,
)

A53, A72 = "rpi3b", "rk3399"
LINE = 64


@pytest.mark.parametrize("target", [A53, A72])
def test_what_fits_in_l1_misses_it_once(target: str) -> None:
    run = Run(params(target), [load_vector(0, 0, lambda n: BASE + 16 * n % 16384)])
    run.run(4096)
    assert run.run(4096).misses[0] == 0


@pytest.mark.parametrize("target", [A53, A72])
def test_a_pointer_chase_in_l2_costs_its_latency(target: str) -> None:
    """Lines of 256 KiB in an order no prefetcher follows, pages visited one after another."""
    l2 = load(target).fast.l2
    assert l2 is not None
    lines = 64
    order = [random.Random(page).sample(range(lines), lines) for page in range(40)]

    def at(n: int) -> int:
        page = n // lines % 40
        return BASE + 4096 * page + LINE * order[page][n % lines]

    cycles = cycles_a_pass(params(target), [load_pointer(0, 0, at)], 40 * lines)
    assert cycles == pytest.approx(l2.latency_cycles, rel=0.35)


@pytest.mark.parametrize("target", [A53, A72])
def test_a_pointer_chase_in_dram_costs_its_latency(target: str) -> None:
    described = load(target)
    clock = described.fast.clock_ghz
    assert clock is not None
    passes = 4096

    def at(n: int) -> int:
        return BASE + n * 40503 % passes * 8192  # over 32 MiB

    cycles = cycles_a_pass(params(target), [load_pointer(0, 0, at)], passes)
    dram = described.memory.latency_ns * clock
    assert dram * 0.95 <= cycles <= dram * 1.9  # and a walk of the page table for most


@pytest.mark.parametrize("target", [A53, A72, "kirin970"])
def test_a_stream_from_dram_has_the_stated_bandwidth(target: str) -> None:
    described = load(target)
    clock = described.fast.clock_ghz
    assert clock is not None
    body = [load_vector(k, 0, walk(step=LINE, offset=16 * k)) for k in range(4)]
    cycles = cycles_a_pass(params(target), body, 20000)
    gb_s = LINE * clock / cycles
    stated = described.memory.core_bandwidth_gb_s
    assert 0.6 * stated <= gb_s <= 1.02 * stated


def test_cores_share_the_bandwidth() -> None:
    assert params(A72).memory.dram_all_time < params(A72).memory.dram_line_time


@pytest.mark.parametrize("target", [A53, A72])
def test_writing_whole_lines_fetches_none_after_a_while(target: str) -> None:
    body = [store_vector(0, 0, walk(step=LINE, offset=16 * k)) for k in range(4)]
    stats = Run(params(target), body).run(20000)
    assert stats.dram_lines < 1.3 * 20000  # written; twice that if they were fetched too


def test_writing_parts_of_lines_fetches_them() -> None:
    body = [store_vector(0, 0, lambda n: BASE + LINE * n)]
    stats = Run(params(A72), body).run(40000)
    assert stats.dram_lines > 1.5 * 40000


def test_pages_beyond_the_tlb_are_walked() -> None:
    few = Run(params(A53), [load_vector(0, 0, lambda n: BASE + 4096 * (n % 8) + LINE * (n % 16))])
    few.run(4000)
    assert few.run(4000).walks == 0
    many = Run(params(A53), [load_vector(0, 0, lambda n: BASE + 4096 * (n % 1200))])
    many.run(4000)
    assert many.run(4000).walks > 2000


def test_writing_lines_back_takes_the_stated_time() -> None:
    """Parts of lines written over what only L2 holds: each is fetched, and as often one goes back."""
    body = [store_vector(0, 0, lambda n: BASE + LINE * n % (1 << 18))]
    alike, slower = params(A72), params(A72)
    slower.memory.write_back = 3
    line = slower.memory.level[1].line_time / 256
    more = cycles_a_pass(slower, body, 4096) - cycles_a_pass(alike, body, 4096)
    assert more == pytest.approx(2 * line, rel=0.25)


def test_lines_of_one_set_asked_for_at_once_stay_in_part() -> None:
    """64 KiB over and over through 48 KiB, a line: an Emerald Rapids takes 1.45 cycles one after another, all
    from L2, and 1.08 where eight lines of a set come together.
    """

    def cycles(at: Callable[[int, int], int]) -> float:
        body = [load_vector(k, 0, partial(at, k), 64) for k in range(8)]
        return cycles_a_pass(golden_cove(), body, 1024) / 8

    assert cycles(lambda k, n: BASE + LINE * ((8 * n + k) % 1024)) == pytest.approx(1.45, rel=0.05)
    assert cycles(lambda k, n: BASE + 8192 * k + LINE * (n % 128)) == pytest.approx(1.08, rel=0.15)


@pytest.mark.parametrize(("sixteenths", "fits"), [(8, True), (14, True), (16, False)])
def test_pages_lie_anywhere_in_l2(sixteenths: int, fits: bool) -> None:
    """1 MiB in 16 ways: what fills all of it does not stay whole, as pages do not come in order."""
    lines = sixteenths * 1024
    run = Run(params(A72), [load_pointer(0, 0, lambda n: BASE + LINE * (n * 4099 % lines))])
    run.run(2 * lines)
    assert (run.run(lines).misses[1] == 0) == fits
