# SPDX-License-Identifier: Apache-2.0
"""What the C core model is told of a target's fast cores.

Takes a `Target` and a number of threads; gives `CoreParams`.
"""

import ctypes

from mnc.compile.simulator.core.structs import (
    MAX_FILLS,
    MAX_LEVELS,
    MAX_STREAMS,
    QUEUES,
    REPLACEMENTS,
    CacheParams,
    CoreParams,
    MemoryParams,
    OpParams,
)
from mnc.compile.simulator.isa.instructions import Class
from mnc.targets import Cache, CoreClass, Pipeline, Target, pipeline_of
from mnc.targets.pipeline import WIDTHS, Operation

POINT = 256  # line times are in 1/256 cycles
DEFAULT_CLOCK_GHZ = 2.5  # where neither the device nor its core tells one

MEMORY_CLASSES = frozenset(
    {
        Class.LOAD_INT,
        Class.STORE_INT,
        Class.LOAD_VEC,
        Class.STORE_VEC,
        Class.LOAD_BROADCAST,
        Class.LOAD_LANE,
        Class.LOAD_SEVERAL,
        Class.STORE_SEVERAL,
        Class.PREFETCH,
    }
)
VECTOR_CLASSES = frozenset(
    {
        Class.FMA,
        Class.FP_ADD,
        Class.FP_MUL,
        Class.FP_CMP,
        Class.FP_DIV_SQRT,
        Class.VEC_MOVE,
        Class.VEC_PERMUTE,
        Class.VEC_INT,
        Class.VEC_TO_INT,
        Class.VEC_MUL,
        Class.VEC_MUL_LONG,
        Class.VEC_DOT,
        Class.VEC_ACCUMULATE,
        Class.VEC_SHIFT,
        Class.VEC_SHIFT_BY,
        Class.VEC_NARROW,
        Class.VEC_ZIP,
        Class.FP_CONVERT,
    }
)
# Classes that a pipeline file does not price by name.
PRICED_AS = {Class.NOP: None, Class.CALL: "branch", Class.PREFETCH: "load_int"}


def clock_ghz(core: CoreClass) -> float:
    """The clock cycles are counted in: the device's, else the one assumed for its core."""
    return core.clock_ghz or pipeline_of(core).clock_ghz or DEFAULT_CLOCK_GHZ


def core_params(target: Target, *, threads: int) -> CoreParams:
    """The fast cores of `target`, `threads` of them at work."""
    core = target.fast
    pipeline = pipeline_of(core)
    params = CoreParams()
    for kind in Class:
        for index, bits in enumerate(WIDTHS):
            params.ops[kind][index] = _operation(kind, pipeline, bits)
    params.memory = _memory(target, pipeline)
    params.in_order = core.in_order
    params.width = pipeline.width
    params.retire_width = 2 * pipeline.width
    params.window = pipeline.window
    params.queue = (ctypes.c_uint32 * QUEUES)(*pipeline.queues)
    params.load_queue = pipeline.load_queue
    params.store_queue = pipeline.stores.buffer
    params.mispredict = pipeline.mispredict_cycles
    params.taken = pipeline.taken_cycles
    params.history = pipeline.history
    params.code_bytes = pipeline.code_kib * 1024
    params.code_ways = pipeline.code_ways
    params.code_latency = round(core.l2.latency_cycles) if core.l2 else 20
    params.code_next = 1
    params.forward = pipeline.stores.forward_cycles
    params.binds = pipeline.ports_bound
    params.replays = pipeline.stores.forward_replays
    params.alias = pipeline.stores.alias_cycles
    params.launch = round(target.memory.launch_cycles) if threads > 1 else 0
    params.in_order_vector = pipeline.vector_in_order
    return params


def _operation(kind: Class, pipeline: Pipeline, bits: int) -> OpParams:
    name = PRICED_AS.get(kind, kind.name.lower())
    queue = 1 if kind in MEMORY_CLASSES else 2 if kind in VECTOR_CLASSES else 0
    if name is None:
        return OpParams(micro_ops=1, queue=queue)
    return _op_params(pipeline.operation(name, bits), pipeline, queue)


def _op_params(one: Operation, pipeline: Pipeline, queue: int) -> OpParams:
    return OpParams(
        ports=_mask(one.ports, pipeline),
        then_ports=_mask(one.then, pipeline),
        slots=one.slots if one.ports else 0,
        then_slots=one.then_slots,
        latency=one.latency,
        accumulate=one.latency if one.accumulate is None else one.accumulate,
        micro_ops=one.micro_ops,
        alone=one.alone,
        queue=queue,
        blocks=one.blocks,
    )


def _mask(names: str, pipeline: Pipeline) -> int:
    order = pipeline.ports.split()
    return sum(1 << order.index(name) for name in names.split())


def _memory(target: Target, pipeline: Pipeline) -> MemoryParams:
    core, dram = target.fast, target.memory
    levels = [core.l1d, *([core.l2] if core.l2 else []), *target.caches][:MAX_LEVELS]
    ghz, line = clock_ghz(core), core.l1d.line_bytes
    prefetcher, translation, stores = pipeline.prefetcher, pipeline.translation, pipeline.stores
    params = MemoryParams(
        levels=len(levels),
        line_shift=line.bit_length() - 1,
        dram_latency=round(dram.latency_ns * ghz),
        dram_line_time=round(POINT * line * ghz / dram.core_bandwidth_gb_s),
        dram_all_time=round(POINT * line * ghz / dram.bandwidth_gb_s),
        misses=min(MAX_FILLS, core.misses_in_flight),
        misses_l2=min(MAX_FILLS, core.misses_in_flight + prefetcher.outstanding),
        streams=min(MAX_STREAMS, core.prefetch_streams),
        trigger=prefetcher.trigger,
        max_stride=prefetcher.max_stride,
        depth_l1=prefetcher.l1_lines,
        depth_l2=prefetcher.l2_lines,
        prefetches=prefetcher.outstanding,
        crosses_pages=prefetcher.crosses_pages,
        store_prefetch=prefetcher.on_stores,
        by_page=prefetcher.by_page,
        pairs=prefetcher.pairs,
        stride_ahead=prefetcher.stride_ahead,
        streaming_lines=stores.streaming_lines,
        merging=stores.merging_lines,
        stores_merge=stores.merge_with_fills,
        write_back=stores.write_back_reads,
        page_shift=12,
    )
    params.level = (CacheParams * MAX_LEVELS)(*(_cache(cache) for cache in levels))
    if translation is not None:
        params.tlb_entries = translation.entries
        params.tlb2_entries = translation.second_entries
        params.tlb2_ways = translation.second_ways
        params.tlb2_latency = translation.second_cycles
        params.walk_latency = translation.walk_cycles
    return params


def _cache(cache: Cache) -> CacheParams:
    return CacheParams(
        bytes=cache.size_bytes,
        ways=cache.associativity,
        latency=round(cache.latency_cycles),
        line_time=round(POINT * cache.line_bytes / cache.bandwidth_bytes_per_cycle),
        shared=cache.shared_by,
        replacement=REPLACEMENTS.index(cache.replacement),
    )
