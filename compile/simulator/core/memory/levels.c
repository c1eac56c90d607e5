/* SPDX-License-Identifier: Apache-2.0 */
/* Between the levels: a line fetched from the nearest that has it, filled into those above, written back to those below,
 * over buses and through buffers of limited speed that other cores may share.
 */
#include "memory.h"

/* ---- Buses and buffers. ---- */

/* When a transfer that wants to start at `at` does, on a bus that it occupies for `time` 1/256 cycles. Out of order,
 * an access may be seen before those that ran ahead of it, and must not keep them waiting for a time that is still to
 * come: what was idle in the last `slack` can still be used. */
static inline int64_t bus_start(const memory *m, int64_t *free, int64_t at, uint32_t time)
{
    int64_t wanted = at << 8, start = later(*free, wanted - m->slack);
    *free = start + time;
    return later(wanted, start) >> 8;
}

static inline int earliest(const int64_t *slots, uint32_t count)
{
    int best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (slots[i] < slots[best]) best = (int)i;
    return best;
}

enum { WRITE_BACKLOG = 16 }; /* lines that may wait to be written to DRAM before stores wait too */

static inline int64_t backlog(const memory *m)
{
    return (m->dram_free - (int64_t)m->dram_line_time * WRITE_BACKLOG) >> 8;
}

/* ---- Other cores. ---- */

/* Tasks of a parallel section are alike: what this core does to a line of its own, each other core does to one of
 * theirs, in the same cache, over the same bus. A line that several use is fetched for all of them once. */
static inline int is_own(const memory *m, uint64_t line)
{
    return m->tasks > 1 && !(m->used_by_others[line & (OWNED_LINES - 1)] >> (m->section & 7) & 1);
}

static inline uint32_t dram_time(const memory *m, uint64_t line)
{
    return is_own(m, line) ? m->dram_line_time : m->dram_shared_time;
}

/* ---- Filling and writing back. ---- */

enum { OTHERS = 56 }; /* bits of a line from here up number another core, whose line it then stands for */

static void write_back(memory *m, uint32_t from, uint64_t line, int64_t at);
static void fill_for_others(memory *m, uint32_t level, uint64_t line, int64_t at, int64_t ready, uint8_t state);

/* Puts a line that arrives at `ready` into a level; what it displaces goes down when it was written to. */
static size_t cache_fill(memory *m, uint32_t level, uint64_t line, int64_t at, int64_t ready, uint8_t state)
{
    cache *c = &m->level[level];
    size_t slot = cache_victim(c, m, line, at);
    uint64_t old = c->tags[slot];
    uint8_t dirty = c->state[slot] & LINE_DIRTY;
    c->tags[slot] = line + 1;
    c->ready[slot] = ready;
    c->used[slot] = ++m->clock;
    c->state[slot] = state;
    if (old && dirty && !((old - 1) >> OTHERS)) write_back(m, level, old - 1, at);
    if (c->shared > 1 && !(line >> OTHERS) && is_own(m, line)) fill_for_others(m, level, line, at, ready, state);
    return slot;
}

/* The other cores' lines take their room too. */
static void fill_for_others(memory *m, uint32_t level, uint64_t line, int64_t at, int64_t ready, uint8_t state)
{
    cache *c = &m->level[level];
    uint64_t cores = (uint64_t)m->tasks < c->shared ? (uint64_t)m->tasks : c->shared;
    for (uint64_t other = 1; other < cores; other++) {
        uint64_t theirs = line | other << OTHERS;
        int64_t slot = cache_find(c, theirs);
        if (slot >= 0)
            c->used[slot] = ++m->clock;
        else
            cache_fill(m, level, theirs, at, ready, state);
    }
}

static void write_back(memory *m, uint32_t from, uint64_t line, int64_t at)
{
    uint32_t below = from + 1;
    if (below >= m->p.levels) {
        m->dram_lines++;
        bus_start(m, &m->dram_free, at, dram_time(m, line));
        return;
    }
    cache *c = &m->level[below];
    bus_start(m, &c->free, at, below == 1 ? c->line_time * m->p.write_back : c->line_time);
    int64_t slot = cache_find(c, line);
    if (slot >= 0)
        c->state[slot] |= LINE_DIRTY;
    else
        cache_fill(m, below, line, at, at, LINE_DIRTY);
}

/* When a line's data are there for L1, asked for at `at` from the level below; fills the levels between. */
static int64_t fetch(memory *m, uint64_t line, int64_t at, uint32_t into, int *level, uint8_t state)
{
    for (uint32_t l = into + 1; l < m->p.levels; l++) {
        cache *c = &m->level[l];
        int64_t slot = cache_find(c, line);
        if (slot < 0) {
            c->misses++;
            continue;
        }
        c->used[slot] = ++m->clock;
        int64_t ready = bus_start(m, &c->free, at, c->line_time) + c->latency;
        ready = later(ready, c->ready[slot] + (c->latency >> 1)); /* still on its way here: the half trip up remains */
        for (uint32_t up = l - 1; up > into; up--) cache_fill(m, up, line, at, ready, state);
        *level = (int)l;
        return ready;
    }
    int slot = earliest(m->fill_l2, m->p.misses_l2);
    at = later(at, m->fill_l2[slot]);
    m->dram_lines++;
    int64_t ready = bus_start(m, &m->dram_free, at, dram_time(m, line)) + m->p.dram_latency;
    m->fill_l2[slot] = ready;
    for (uint32_t up = m->p.levels - 1; up > into; up--) cache_fill(m, up, line, at, ready, state);
    *level = FROM_DRAM;
    return ready;
}
