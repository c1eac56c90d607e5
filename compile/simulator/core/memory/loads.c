/* SPDX-License-Identifier: Apache-2.0 */
/* Loads: when their data are there, and from which level. */
#include "memory.h"

static NOINLINE int64_t load_missing(memory *m, uint64_t address, uint64_t line, int64_t now, int *level)
{
    m->level[0].misses++;
    int slot = earliest(m->fill, m->p.misses);
    now = later(now, m->fill[slot]);
    int64_t ready = fetch(m, line, now, 0, level, 0);
    m->fill[slot] = ready;
    cache_fill(m, 0, line, now, ready, 0);
    if (m->p.pairs && *level > FROM_L2) prefetch_line(m, line ^ 1, now, 0);
    if (m->p.streams) prefetcher_sees(m, address, now, 1);
    return ready;
}

/* A line in L1 that is still on its way, or was prefetched and not used yet. */
static NOINLINE int64_t load_early(memory *m, uint64_t address, int64_t slot, int64_t now, int *level)
{
    cache *c = &m->level[0];
    int64_t ready = now + c->latency;
    if (c->ready[slot] > ready) {
        ready = c->ready[slot];
        int64_t wait = ready - now;
        *level = wait > (m->p.levels > 1 ? m->level[m->p.levels - 1].latency : 0) ? FROM_DRAM : FROM_L2;
    }
    if (c->state[slot] & LINE_PREFETCHED) {
        c->state[slot] &= (uint8_t)~LINE_PREFETCHED;
        if (m->p.streams) prefetcher_sees(m, address, now, 1);
    }
    return ready;
}

static inline int64_t load_line(memory *m, uint64_t address, int64_t now, int *level)
{
    uint64_t line = address >> m->p.line_shift;
    cache *c = &m->level[0];
    int64_t slot = cache_find(c, line);
    if (UNLIKELY(slot < 0)) return load_missing(m, address, line, now, level);
    c->used[slot] = ++m->clock;
    int64_t ready = now + c->latency;
    if (LIKELY(c->ready[slot] <= ready && !(c->state[slot] & LINE_PREFETCHED))) return ready;
    return load_early(m, address, slot, now, level);
}

/* The part of a load that lies on the line after. */
static NOINLINE int64_t load_second(memory *m, uint64_t address, int64_t now, int *level)
{
    return load_line(m, address, translate(m, address, now + 1), level);
}

/* When the data of a load that starts at `now` are there; `level` says from where, FROM_L1 unless slower. */
static inline int64_t memory_load(memory *m, uint32_t id, uint64_t address, uint32_t bytes, int64_t now, int *level)
{
    now = translate(m, address, now);
    uint64_t line = address >> m->p.line_shift, last = (address + bytes - 1) >> m->p.line_shift;
    int64_t ready = load_line(m, address, now, level);
    if (UNLIKELY(last != line)) ready = later(ready, load_second(m, address + bytes - 1, now, level));
    if (m->p.stride_ahead) stride_sees(m, id, address, now);
    return ready;
}
