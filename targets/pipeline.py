# SPDX-License-Identifier: Apache-2.0
"""How a core executes: widths, ports, latencies, prefetchers, translation. What the cycle model is told."""

from typing import Annotated

import msgspec

Cycles = Annotated[int, msgspec.Meta(ge=0, le=200)]
Latency = Annotated[int, msgspec.Meta(ge=-16, le=100)]
Small = Annotated[int, msgspec.Meta(ge=0, le=64)]
Limit = Annotated[int, msgspec.Meta(ge=0, le=900)]
Clock = Annotated[float, msgspec.Meta(ge=0.01, le=20)]  # GHz
Names = Annotated[str, msgspec.Meta(max_length=80)]

# The operations a file must price; each may be given apart for one width ("fma_512").
OPERATIONS = (
    "int shift mul div branch load_int store_int load_vec store_vec load_broadcast load_lane fma "
    "fp_add fp_mul fp_cmp fp_div_sqrt vec_move vec_permute vec_int vec_to_int int_to_vec"
).split()
# Those of 8-bit integer kernels, which a file may price in `integers`; where it does not, each costs as much
# as another.
INTEGER_OPERATIONS = {
    "vec_mul": "vec_int",
    "vec_mul_long": "vec_int",
    "vec_dot": "vec_int",
    "vec_accumulate": "vec_int",
    "vec_shift": "vec_int",
    "vec_shift_by": "vec_int",
    "vec_narrow": "vec_int",
    "vec_zip": "vec_permute",
    "fp_convert": "fp_add",
}
# Those that a file may price in `operations`; where it does not, each costs as much as another.
OTHER_OPERATIONS = {"load_several": "load_vec", "store_several": "store_vec"}
WIDTHS = (64, 128, 256, 512)
MAX_PORTS = 16


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of operation.

    It takes `slots` cycles of the `ports` (names, any of them), then, for what has a second step (a
    store's data, a load's way through the vector pipes), `then_slots` of `then`. `latency` is from
    issue to result, for loads beyond (or, below 0, short of) the cache's own. `accumulate` is the
    latency to the accumulator of a following multiply-add. `micro_ops` is its places at dispatch.
    `alone`: no other instruction issues with it (in-order cores). `blocks`: it holds its port for all
    its slots (dividers).
    """

    ports: Names
    slots: Small = 1
    latency: Latency = 1
    accumulate: Cycles | None = None
    then: Names = ""
    then_slots: Small = 0
    micro_ops: Small = 1
    alone: bool = False
    blocks: bool = False


class Prefetcher(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is fetched before it is asked for.

    A stream of misses at a stride of at most `max_stride` lines, seen `trigger` times, runs `l1_lines`
    ahead into L1 and `l2_lines` ahead into L2, with at most `outstanding` lines on their way. `by_page`: a
    stream is what goes through a page of 4 KiB in one direction, whatever it leaves out (Intel's streamer).
    `pairs`: a line that L2 misses brings the other of its 128 bytes (Intel's spatial prefetcher).
    `stride_ahead`: so many strides ahead of an instruction whose addresses grow steadily; 0 none.
    """

    trigger: Small = 2
    max_stride: Small = 1
    l1_lines: Small = 2
    l2_lines: Small = 0
    outstanding: Small = 8
    crosses_pages: bool = False
    on_stores: bool = False
    by_page: bool = False
    pairs: bool = False
    stride_ahead: Small = 0


class Translation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Data TLBs, of 4 KiB pages: the first of `entries`, the second, and the cycles each costs."""

    entries: Annotated[int, msgspec.Meta(ge=1, le=128)]
    second_entries: Annotated[int, msgspec.Meta(ge=0, le=8192)]
    second_ways: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    second_cycles: Cycles = 7
    walk_cycles: Cycles = 20


class Stores(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`buffer` stores wait to leave; `streaming_lines` whole lines written in a row end the fetching
    of what is overwritten (0: never); `forward_cycles` is from a store's data to a load of them.
    `forward_replays`: how often a load that comes before those data takes its port again.
    `alias_cycles`: how late a load is whose place in a page of 4 KiB is that of a store before it whose data
    are not there yet (Intel; 0: no matter). `write_back_reads`: a cache takes a line written back to it in
    the time of so many lines read.
    `merge_with_fills`: a store that misses leaves when its line is asked for, not when it is there.
    """

    buffer: Annotated[int, msgspec.Meta(ge=1, le=256)]
    streaming_lines: Small = 0
    merging_lines: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    forward_cycles: Cycles = 5
    forward_replays: Small = 0
    alias_cycles: Small = 0
    write_back_reads: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    merge_with_fills: bool = False


class Pipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One core. `width` is micro-ops dispatched (in order: issued) a cycle, `window` the micro-ops in
    flight (absent in order), `queues` the entries of the integer, memory and vector schedulers
    (0: no limit beyond the window), `ports` their names. `mispredict_cycles` is from the branch's
    execution to the next instruction, `taken_cycles` the dispatch cycles a taken branch ends or loses,
    `history` the branches its predictor remembers. `vector_in_order`: vector operations issue in
    order on a core that is otherwise out of order. `ports_bound`: an operation's port is chosen when it
    is dispatched (Intel), not when it starts. `integers` prices what only integer kernels do, as `operations`
    does the rest. `clock_ghz` is assumed where a device tells none.
    """

    source: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    clock_ghz: Clock | None = None
    width: Annotated[int, msgspec.Meta(ge=1, le=16)]
    window: Limit = 0
    queues: tuple[Limit, Limit, Limit] = (0, 0, 0)
    load_queue: Limit = 0
    ports: Names
    mispredict_cycles: Cycles
    taken_cycles: Cycles = 1
    history: Small = 16
    code_kib: Annotated[int, msgspec.Meta(ge=0, le=256)] = 32
    code_ways: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4
    vector_in_order: bool = False
    ports_bound: bool = False
    operations: dict[str, Operation]
    integers: dict[str, Operation] = {}
    prefetcher: Prefetcher = Prefetcher()
    translation: Translation | None = None
    stores: Stores

    def __post_init__(self) -> None:
        names = self.ports.split()
        if len(names) > MAX_PORTS or len(set(names)) != len(names):
            raise ValueError(f"ports must be at most {MAX_PORTS} different names")
        tables = {"operations": [*OPERATIONS, *OTHER_OPERATIONS], "integers": [*INTEGER_OPERATIONS]}
        for table, known in tables.items():
            for key, operation in getattr(self, table).items():
                _check_key(key, known)
                unknown = set(f"{operation.ports} {operation.then}".split()) - set(names)
                if unknown:
                    said = " ".join(sorted(unknown))
                    raise ValueError(f"{table}.{key} names unknown ports {said}")
        missing = [name for name in OPERATIONS if name not in self.operations]
        if missing:
            raise ValueError(f"operations must price {', '.join(missing)}")

    def operation(self, name: str, bits: int) -> Operation:
        """The operation called `name` on vectors of `bits`."""
        if name in INTEGER_OPERATIONS:
            found = self.integers.get(f"{name}_{bits}") or self.integers.get(name)
            return found or self.operation(INTEGER_OPERATIONS[name], bits)
        found = self.operations.get(f"{name}_{bits}") or self.operations.get(name)
        return found or self.operation(OTHER_OPERATIONS[name], bits)


def _check_key(key: str, known: list[str]) -> None:
    name, _, bits = key.rpartition("_")
    if key not in known and not (name in known and bits in map(str, WIDTHS)):
        raise ValueError(f"unknown operation {key!r}; known: {', '.join(known)}")
