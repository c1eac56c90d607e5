# SPDX-License-Identifier: Apache-2.0
"""Synthetic instruction streams for the core model: a body of instructions run many times.

Takes `Instruction`s whose memory operands are functions of the pass; gives the statistics of the core.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from mnc.compile.simulator.core.native import library
from mnc.compile.simulator.core.params import core_params
from mnc.compile.simulator.core.structs import CoreParams, CoreStats
from mnc.compile.simulator.isa.instructions import NONE, Class, Flag, Instruction
from mnc.compile.simulator.isa.packing import pack
from mnc.targets import load
from mnc.targets.target import Cache

ACCESS = np.dtype([("address", "<u8"), ("bytes", "<u4"), ("is_store", "<u4")])
BASE = 1 << 24  # where the streams' data begin


@dataclass(frozen=True)
class Memory:
    """One access of an instruction: its address in each pass."""

    at: Callable[[int], int]
    bytes: int = 16


@dataclass(frozen=True)
class Step:
    """An instruction of the body and what it accesses."""

    one: Instruction
    memory: tuple[Memory, ...] = ()


def walk(*, step: int = 0, offset: int = 0) -> Callable[[int], int]:
    """An address that grows by `step` bytes each pass."""
    return lambda n: BASE + step * n + offset


def fma(dst: int, a: int, b: int, width: int = 16) -> Step:
    """v[dst] += v[a] * v[b]."""
    registers = (32 + dst, 32 + a, 32 + b)
    return Step(
        Instruction(
            Class.FMA, dst=(32 + dst,), src=registers, width=width, flops=width // 2, accumulator=0
        )
    )


def load_vector(dst: int, base: int, at: Callable[[int], int], width: int = 16) -> Step:
    """v[dst] = [x[base]]."""
    one = Instruction(
        Class.LOAD_VEC, dst=(32 + dst,), src=(base,), width=width, loads=1, first_address=0
    )
    return Step(one, (Memory(at, width),))


def load_several(first: int, base: int, at: Callable[[int], int]) -> Step:
    """ld1 {v[first] to v[first + 3]}, [x[base]]: 64 bytes."""
    registers = tuple(32 + first + k for k in range(4))
    one = Instruction(
        Class.LOAD_SEVERAL, dst=registers, src=(base,), width=16, loads=4, first_address=0
    )
    return Step(one, tuple(Memory(_beyond(at, 16 * k)) for k in range(4)))


def _beyond(at: Callable[[int], int], offset: int) -> Callable[[int], int]:
    return lambda n: at(n) + offset


def load_pointer(dst: int, base: int, at: Callable[[int], int]) -> Step:
    """x[dst] = [x[base]]."""
    one = Instruction(Class.LOAD_INT, dst=(dst,), src=(base,), loads=1, first_address=0)
    return Step(one, (Memory(at, 8),))


def store_vector(src: int, base: int, at: Callable[[int], int], width: int = 16) -> Step:
    """[x[base]] = v[src]."""
    one = Instruction(Class.STORE_VEC, src=(32 + src, base), width=width, stores=1, first_address=1)
    return Step(one, (Memory(at, width),))


def add(dst: int, src: int) -> Step:
    """x[dst] = x[src] + 1."""
    return Step(Instruction(Class.INT, dst=(dst,), src=(src,), first_address=NONE))


def branch() -> Step:
    """Back to the first instruction."""
    return Step(Instruction(Class.BRANCH, flags=Flag.ENDS_BLOCK))


def nop() -> Step:
    """Takes a place where micro-ops are renamed, and nothing else."""
    return Step(Instruction(Class.NOP))


def params(target: str) -> CoreParams:
    """The fast cores of a target, one at work."""
    return core_params(load(target), threads=1)


def golden_cove() -> CoreParams:
    """A Sapphire Rapids core with the caches of one, whatever machine this is."""
    board = load("rk3399")
    l1d = Cache(
        size_kib=48,
        associativity=12,
        latency_cycles=5,
        bandwidth_bytes_per_cycle=128,
        replacement="trees",
    )
    l2 = Cache(size_kib=2048, associativity=16, latency_cycles=14, bandwidth_bytes_per_cycle=44)
    core = replace(board.fast, cpu="sapphirerapids", vector_bits=512, fma_units=2.0, l1d=l1d, l2=l2)
    return core_params(replace(board, cores=(core,)), threads=1)


class Run:
    """A body on a core; `run` may be called again, with the caches as the passes before left them."""

    def __init__(self, params: CoreParams, body: Sequence[Step]) -> None:
        self.body = body
        self.code, _ = pack([(4096 + 4 * k, step.one) for k, step in enumerate(body)])
        self.core = library().core_create(ctypes.byref(params), self.code.ctypes.data, len(body))

    def __del__(self) -> None:
        library().core_destroy(self.core)

    def run(self, passes: int, path: Callable[[int], Sequence[int]] | None = None) -> CoreStats:
        """Passes 0 to `passes` - 1 from cycle 0. `path`: the instructions of each pass, by place in the body
        (none with memory), where not all.
        """
        library().core_restart(self.core)
        order = np.tile(np.arange(len(self.body), dtype=np.uint32), passes)
        if path is not None:
            order = np.array([i for n in range(passes) for i in path(n)], np.uint32)
        kinds = [(m, k >= s.one.loads) for s in self.body for k, m in enumerate(s.memory)]
        rows = [(m.at(n), m.bytes, store) for n in range(passes) for m, store in kinds]
        accesses = np.array(rows or [(0, 0, False)], ACCESS)
        library().core_replay(self.core, order.ctypes.data, len(order), accesses.ctypes.data)
        stats = CoreStats()
        library().core_stats(self.core, ctypes.byref(stats), None)
        return stats


def cycles_a_pass(params: CoreParams, body: Sequence[Step], passes: int = 2000) -> float:
    """Steady state, caches warm: the second half of what twice the passes take."""
    run = Run(params, body)
    run.run(2 * passes)
    return float(run.run(2 * passes).cycles - run.run(passes).cycles) / passes
