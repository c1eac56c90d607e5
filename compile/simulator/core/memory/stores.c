/* SPDX-License-Identifier: Apache-2.0 */
/* Stores: lines fetched to be written, or merged whole and not fetched, leaving their buffer in order. */
#include "memory.h"

static uint64_t byte_mask(uint64_t offset, uint64_t bytes)
{
    uint64_t ones = bytes >= 64 ? ~0ull : (1ull << bytes) - 1;
    return ones << offset;
}

static void merge_retire(memory *m, merge *e, int64_t now)
{
    uint64_t all = byte_mask(0, 1ull << m->p.line_shift);
    int full = (e->bytes & all) == all, level;
    m->full_lines = full ? m->full_lines + 1 : 0;
    if (e->fetched) return;
    if (full) { /* the whole line goes down, nothing was fetched */
        write_back(m, 0, e->line, now);
        return;
    }
    int64_t ready = fetch(m, e->line, now, 0, &level, 0);
    if (cache_find(&m->level[0], e->line) < 0) cache_fill(m, 0, e->line, now, ready, LINE_DIRTY);
}

static merge *merge_find(memory *m, uint64_t line, int64_t now)
{
    merge *oldest = &m->merging[0];
    for (uint32_t i = 0; i < m->p.merging; i++) {
        merge *e = &m->merging[i];
        if (e->line == line + 1) {
            e->used = ++m->clock;
            return e;
        }
        if (e->used < oldest->used) oldest = e;
    }
    if (oldest->line) {
        oldest->line--;
        merge_retire(m, oldest, now);
    }
    *oldest = (merge){.line = line + 1, .used = ++m->clock};
    return 0;
}

/* A store to a line that L1 has not: fetched for ownership, or merged while whole lines are streamed. */
static NOINLINE int64_t store_missing(memory *m, uint64_t line, uint64_t mask, int64_t now)
{
    merge *e = merge_find(m, line, now);
    if (e && !e->fetched) {
        e->bytes |= mask;
        return now;
    }
    for (uint32_t i = 0; !e && i < m->p.merging; i++)
        if (m->merging[i].line == line + 1) e = &m->merging[i];
    e->bytes |= mask;
    if (m->p.streaming_lines && m->full_lines >= m->p.streaming_lines) return now;
    e->fetched = 1;
    int level;
    m->level[0].misses++;
    int slot = earliest(m->fill, m->p.misses);
    now = later(now, m->fill[slot]);
    int64_t ready = fetch(m, line, now, 0, &level, 0);
    m->fill[slot] = ready;
    cache_fill(m, 0, line, now, ready, LINE_DIRTY);
    if (m->p.store_prefetch && m->p.streams) prefetcher_sees(m, line << m->p.line_shift, now, 0);
    return m->p.stores_merge ? now : ready;
}

static inline int64_t store_line(memory *m, uint64_t line, uint64_t mask, int64_t now)
{
    cache *c = &m->level[0];
    int64_t slot = cache_find(c, line);
    if (UNLIKELY(slot < 0)) return store_missing(m, line, mask, now);
    c->used[slot] = ++m->clock;
    if (m->p.store_prefetch && m->p.streams && (c->state[slot] & LINE_PREFETCHED)) prefetcher_sees(m, line << m->p.line_shift, now, 0);
    c->state[slot] = LINE_DIRTY;
    if (m->p.streaming_lines)
        for (uint32_t i = 0; i < m->p.merging; i++)
            if (m->merging[i].line == line + 1) m->merging[i].bytes |= mask;
    return m->p.stores_merge ? now : later(now, c->ready[slot]);
}

/* When a store that starts at `now` has left the store buffer, which it does in order: into L1, or, where cores
 * merge, into the buffer that its line will fill. */
static inline int64_t memory_store(memory *m, uint64_t address, uint32_t bytes, int64_t now)
{
    now = translate(m, address, now);
    uint64_t size = 1ull << m->p.line_shift, offset = address & (size - 1);
    uint64_t line = address >> m->p.line_shift;
    int64_t done;
    if (LIKELY(offset + bytes <= size)) {
        done = store_line(m, line, byte_mask(offset, bytes), now);
    } else {
        uint64_t first = size - offset;
        done = store_line(m, line, byte_mask(offset, first), now);
        int64_t at = translate(m, address + bytes - 1, now);
        done = later(done, store_line(m, line + 1, byte_mask(0, bytes - first), at));
    }
    m->drained = later(later(m->drained, done), backlog(m));
    return m->drained;
}
