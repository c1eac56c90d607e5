# SPDX-License-Identifier: Apache-2.0
"""Where each tensor between kernels lies in one block of memory, planned before anything runs.

Takes a `Graph`; gives offsets and the size of the block. Buffers that are never needed at the same
time share bytes: the largest is placed first, each in the tightest gap that fits (Pisarchyk and Lee,
"Efficient Memory Management for Deep Neural Net Inference", 2020, greedy by size). Then whatever lies on top
goes first and the rest again in the same order, until nothing can be gained.
"""

from dataclasses import dataclass

from mnc.compile.codegen import alignment
from mnc.compile.toolchain.graph import Graph

TRIES = 100


@dataclass(frozen=True)
class Lifetime:
    """A buffer of `size` bytes, needed from call `first` to call `last`, both included."""

    buffer: int
    size: int
    first: int
    last: int

    def overlaps(self, other: "Lifetime") -> bool:
        """Whether both are needed at some call."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    """`offsets` in bytes by buffer; `size` of the block; `needed`, which no plan can go below."""

    offsets: dict[int, int]
    size: int
    needed: int


def plan(graph: Graph) -> MemoryPlan:
    """Offsets for every buffer that is not a weight."""
    lifetimes = _lifetimes(graph)
    needed = max(
        sum(one.size for one in lifetimes if one.first <= call <= one.last)
        for call in range(-1, len(graph.calls) + 1)
    )
    order = sorted(lifetimes, key=lambda one: (-one.size, one.first, one.buffer))
    best: list[tuple[int, Lifetime]] = []
    size = 0
    for _ in range(TRIES if order else 0):
        placed = _placed(order)
        top, last = max(((at + one.size, one) for at, one in placed), key=lambda end: end[0])
        if not best or top < size:
            best, size = placed, top
        if size == needed or order[0] is last:
            break
        order = [last, *(one for one in order if one is not last)]
    offsets = {one.buffer: at for at, one in best}
    return MemoryPlan(offsets=offsets, size=size, needed=needed)


def _placed(order: list[Lifetime]) -> list[tuple[int, Lifetime]]:
    """Offsets of the buffers, each in the tightest gap between those before it in the `order`."""
    placed: list[tuple[int, Lifetime]] = []
    for lifetime in order:
        neighbours = sorted((at, other) for at, other in _spans(placed, lifetime))
        placed.append((_gap(neighbours, lifetime.size), lifetime))
    return placed


def _lifetimes(graph: Graph) -> list[Lifetime]:
    """Inputs are written before call 0, outputs are read after the last one."""
    uses: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    constant = {graph.tensors[entry].buffer for entry in graph.weights.values()}

    def use(entry: int, call: int) -> None:
        tensor = graph.tensors[entry]
        if tensor.buffer not in constant:
            uses.setdefault(tensor.buffer, []).append(call)
            sizes[tensor.buffer] = max(sizes.get(tensor.buffer, 0), alignment.align(tensor.size))

    for entry in graph.inputs.values():
        use(entry, -1)
    for number, call in enumerate(graph.calls):
        for entry in (*call.inputs, *call.outputs):
            use(entry, number)
    for entry in graph.outputs:
        use(entry, len(graph.calls))
    return [Lifetime(b, sizes[b], min(calls), max(calls)) for b, calls in uses.items()]


def _spans(placed: list[tuple[int, Lifetime]], lifetime: Lifetime) -> list[tuple[int, int]]:
    """First and end byte of what is in the way."""
    return [(at, at + other.size) for at, other in placed if other.overlaps(lifetime)]


def _gap(taken: list[tuple[int, int]], size: int) -> int:
    """Where `size` bytes fit with the least waste between sorted spans, or after them."""
    end, best, waste = 0, None, None
    for first, last in taken:
        room = first - end
        if room >= size and (waste is None or room - size < waste):
            best, waste = end, room - size
        end = max(end, last)
    return end if best is None else best
