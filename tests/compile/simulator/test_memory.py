# SPDX-License-Identifier: Apache-2.0
"""The memory system against bandwidths and latencies of the target files: L1, L2, DRAM, stores, pages."""

import random

import pytest

from targets import load
from tests.compile.simulator.streams import (
    BASE,
    Run,
    cycles_a_pass,
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
