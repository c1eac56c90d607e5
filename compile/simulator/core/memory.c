/* SPDX-License-Identifier: Apache-2.0 */
/* Caches, translation, prefetchers, store buffer and DRAM, as memory.h describes them. */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

static inline int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- One cache: look up, replace. ---- */

static int cache_make(cache *c, const cache_params *p, uint32_t line_shift, uint32_t level)
{
    c->ways = p->ways;
    c->sets = (p->bytes >> line_shift) / p->ways;
    if (c->sets == 0) c->sets = 1;
    c->mask = (c->sets & (c->sets - 1)) == 0 ? c->sets - 1 : 0;
    c->latency = p->latency;
    c->line_time = p->line_time;
    c->replacement = p->replacement;
    for (c->tree = 1; c->ways % (2 * c->tree) == 0;) c->tree *= 2;
    c->shared = p->shared;
    c->page_lines = level ? 12 - line_shift : 0;
    size_t lines = (size_t)c->sets * c->ways;
    c->tags = calloc(lines, sizeof *c->tags);
    c->ready = calloc(lines, sizeof *c->ready);
    c->used = calloc(lines, sizeof *c->used);
    c->state = calloc(lines, sizeof *c->state);
    return c->tags && c->ready && c->used && c->state;
}

static void cache_free(cache *c)
{
    free(c->tags);
    free(c->ready);
    free(c->used);
    free(c->state);
}

/* Beyond L1 sets are by physical address. Pages are given out in no order, yet spread over the sets evenly, as by a
 * system with much free memory: drawn at random they would collide more, which the records of the RK3399 contradict. */
static inline uint32_t cache_set(const cache *c, uint64_t line)
{
    if (c->page_lines) {
        uint64_t page = (line >> c->page_lines) * 0x9e3779b97f4a7c15ull;
        line ^= (page ^ page >> 32) << c->page_lines;
    }
    return (uint32_t)(c->mask || c->sets == 1 ? line & c->mask : line % c->sets);
}

static NOINLINE int64_t cache_search(cache *c, uint64_t line)
{
    size_t first = (size_t)cache_set(c, line) * c->ways;
    const uint64_t *tags = c->tags + first;
    for (uint32_t way = 0; way < c->ways; way++)
        if (tags[way] == line + 1) return c->guess[line & (GUESSES - 1)] = (uint32_t)(first + way);
    return -1;
}

/* The line's place, -1 where it is not. */
static inline int64_t cache_find(cache *c, uint64_t line)
{
    uint32_t guess = c->guess[line & (GUESSES - 1)];
    return LIKELY(c->tags[guess] == line + 1) ? guess : cache_search(c, line);
}

/* The last use of any of `count` lines. */
static uint32_t latest(const uint32_t *used, uint32_t count)
{
    uint32_t last = 0;
    for (uint32_t way = 0; way < count; way++)
        if (used[way] > last) last = used[way];
    return last;
}

/* What trees point to. A node's bit was set by the last use below it, so the times of use tell it. */
static uint32_t tree_victim(const cache *c, const uint32_t *used)
{
    uint32_t way = 0;
    for (uint32_t other = c->tree; other < c->ways; other += c->tree)
        if (latest(used + other, c->tree) < latest(used + way, c->tree)) way = other;
    for (uint32_t half = c->tree / 2; half; half /= 2)
        if (latest(used + way, half) > latest(used + way + half, half)) way += half;
    return way;
}

static size_t cache_victim(cache *c, memory *m, uint64_t line, int64_t at)
{
    size_t first = (size_t)cache_set(c, line) * c->ways, oldest = first;
    int filling = 0;
    for (uint32_t way = 0; way < c->ways; way++) {
        if (c->tags[first + way] == 0) return first + way;
        if (c->used[first + way] < c->used[oldest]) oldest = first + way;
        filling |= c->ready[first + way] > at;
    }
    if (c->replacement == REPLACE_OLDEST) return oldest;
    /* Measured on an Emerald Rapids: 64 KiB read over and over never hit its 48 KiB L1 line by line (1.45 cycles each),
     * yet half of them do (1.08) when lines of one set are asked for eight at once: trees know what has come. */
    if (c->replacement == REPLACE_TREES && !filling) return first + tree_victim(c, c->used + first);
    m->seed = m->seed * 1664525u + 1013904223u;
    return first + (m->seed >> 16) % c->ways;
}

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

/* ---- Prefetching. ---- */

/* Fetches a line into L1 or L2; 0 when all buffers are busy and it is not. */
static int prefetch_line(memory *m, uint64_t line, int64_t now, int to_l1)
{
    if (cache_find(&m->level[0], line) >= 0) return 1;
    int l2 = m->p.levels > 1;
    if (!to_l1 && l2 && cache_find(&m->level[1], line) >= 0) return 1;
    int64_t *buffers = to_l1 ? m->prefetch : m->prefetch_l2;
    int slot = earliest(buffers, m->p.prefetches), level;
    if (buffers[slot] > now) return 0;
    m->prefetches++;
    int64_t ready;
    if (to_l1 || !l2) {
        ready = fetch(m, line, now, 0, &level, 0);
        cache_fill(m, 0, line, now, ready, LINE_PREFETCHED);
    } else {
        ready = fetch(m, line, now, 1, &level, 0);
        cache_fill(m, 1, line, now, ready, LINE_PREFETCHED);
    }
    buffers[slot] = ready;
    return 1;
}

static inline int leaves_page(const memory *m, uint64_t from, uint64_t to)
{
    return !m->p.crosses_pages && (from >> m->p.page_shift) != (to >> m->p.page_shift);
}

enum { RAMP = 2 }; /* lines further ahead for each step of a stream */

static inline uint64_t stream_next(const stream *s, uint32_t steps)
{
    return s->last + (uint64_t)(s->stride * (int64_t)steps);
}

/* A stream runs further ahead the longer it has held. */
static void stream_run(memory *m, stream *s, int64_t now, int to_l1)
{
    uint32_t deepest = m->p.depth_l2 > m->p.depth_l1 ? m->p.depth_l2 : m->p.depth_l1;
    uint32_t earned = m->p.depth_l1 + (s->count - m->p.trigger) * RAMP, shift = m->p.line_shift;
    for (uint32_t k = 1; to_l1 && k <= m->p.depth_l1; k++) {
        uint64_t next = stream_next(s, k);
        if (!leaves_page(m, s->last, next)) prefetch_line(m, next >> shift, now, 1);
    }
    if (earned < deepest) deepest = earned;
    while (m->p.depth_l2 && s->ahead < deepest) {
        uint64_t next = stream_next(s, s->ahead + 1);
        if (leaves_page(m, s->last, next)) return;
        if (s->ahead >= m->p.depth_l1 && !prefetch_line(m, next >> shift, now, 0)) return;
        s->ahead++;
    }
}

/* The next access to the page of a stream that is known by its page: what counts is the direction. */
static void stream_in_page(memory *m, stream *s, uint64_t address, int64_t now, int to_l1)
{
    const uint32_t shift = m->p.line_shift;
    int64_t lines = (int64_t)(address >> shift) - (int64_t)(s->last >> shift);
    if (lines == 0) return;
    int64_t stride = lines > 0 ? 1ll << shift : -(1ll << shift), gone = lines > 0 ? lines : -lines;
    if (stride != s->stride) s->count = 0, s->ahead = 0;
    s->stride = stride;
    s->ahead = s->ahead > gone ? s->ahead - (uint32_t)gone : 0;
    s->last = address;
    s->used = m->clock;
    if (++s->count >= m->p.trigger) stream_run(m, s, now, to_l1);
}

static NOINLINE void pages_see(memory *m, uint64_t address, int64_t now, int to_l1)
{
    stream *oldest = &m->streams[0];
    m->clock++;
    for (uint32_t i = 0; i < m->p.streams; i++) {
        stream *s = &m->streams[i];
        if (s->last >> m->p.page_shift == address >> m->p.page_shift) {
            stream_in_page(m, s, address, now, to_l1);
            return;
        }
        if (s->used < oldest->used) oldest = s;
    }
    *oldest = (stream){.last = address, .used = m->clock};
}

/* An address whose line L1 missed, or the first use of one that was prefetched. */
static NOINLINE void prefetcher_sees(memory *m, uint64_t address, int64_t now, int to_l1)
{
    if (m->p.by_page) {
        pages_see(m, address, now, to_l1);
        return;
    }
    stream *oldest = &m->streams[0], *near = 0;
    const uint32_t shift = m->p.line_shift;
    const int64_t most = (int64_t)m->p.max_stride << shift;
    m->clock++;
    for (uint32_t i = 0; i < m->p.streams; i++) {
        stream *s = &m->streams[i];
        int64_t step = (int64_t)(address - s->last);
        if (address >> shift == s->last >> shift) return;
        if (s->stride && address >> shift == stream_next(s, 1) >> shift) {
            s->last = address;
            s->used = m->clock;
            s->ahead -= s->ahead > 0;
            if (++s->count >= m->p.trigger) stream_run(m, s, now, to_l1);
            return;
        }
        if (!near && step <= most && step >= -most) near = s;
        if (s->used < oldest->used) oldest = s;
    }
    stream *s = near ? near : oldest;
    s->stride = near ? (int64_t)(address - s->last) : 0;
    s->count = near ? 1 : 0;
    s->ahead = 0;
    s->last = address;
    s->used = m->clock;
}

static inline void stride_sees(memory *m, uint32_t id, uint64_t address, int64_t now)
{
    point *e = &m->points[id % POINTS];
    if (e->id != id) {
        *e = (point){.id = id, .last = address};
        return;
    }
    int64_t step = (int64_t)(address - e->last);
    e->last = address;
    if (step == 0) return;
    if (step != e->stride) {
        e->stride = step;
        e->confidence = 0;
        return;
    }
    if (++e->confidence < 2) return;
    uint64_t there = address + (uint64_t)(step * (int64_t)m->p.stride_ahead), next = there >> m->p.line_shift;
    if (next != address >> m->p.line_shift && !leaves_page(m, address, there)) prefetch_line(m, next, now, 1);
}

/* ---- Translation. ---- */

static int64_t walk(memory *m, uint64_t page, int64_t now)
{
    /* The last level's entries: 8 bytes a page, found in the caches below L1; upper levels hit a walk cache. */
    uint64_t line = ((1ull << 44) + page * 8) >> m->p.line_shift;
    int level = 0;
    m->walks++;
    if (m->p.levels < 2) return now + m->p.walk_latency;
    int64_t slot = cache_find(&m->level[1], line), ready;
    if (slot >= 0) {
        m->level[1].used[slot] = ++m->clock;
        ready = later(now + m->level[1].latency, m->level[1].ready[slot]);
    } else {
        ready = fetch(m, line, now, 1, &level, 0);
        cache_fill(m, 1, line, now, ready, 0);
    }
    return ready + m->p.walk_latency;
}

static NOINLINE int64_t translate_slow(memory *m, uint64_t page, int64_t now)
{
    uint32_t entries = m->p.tlb_entries, oldest = 0;
    uint8_t *guess = &m->tlb_guess[page & (TLB_GUESSES - 1)];
    for (uint32_t i = 0; i < entries; i++) {
        if (m->tlb[i] == page + 1) {
            m->tlb_used[i] = ++m->clock;
            m->tlb_last = *guess = (uint8_t)i;
            return now;
        }
        if (m->tlb_used[i] < m->tlb_used[oldest]) oldest = i;
    }
    m->tlb_misses++;
    uint32_t ways = m->p.tlb2_ways, victim = 0, found = 0;
    if (m->p.tlb2_entries) {
        uint32_t first = (uint32_t)(page % (m->p.tlb2_entries / ways)) * ways;
        victim = first;
        for (uint32_t w = first; w < first + ways; w++) {
            if (m->tlb2[w] == page + 1) {
                found = 1;
                victim = w;
                break;
            }
            if (m->tlb2_used[w] < m->tlb2_used[victim]) victim = w;
        }
    }
    int64_t ready = found ? now + m->p.tlb2_latency : walk(m, page, now + m->p.tlb2_latency);
    if (m->p.tlb2_entries) {
        m->tlb2[victim] = page + 1;
        m->tlb2_used[victim] = ++m->clock;
    }
    m->tlb[oldest] = page + 1;
    m->tlb_used[oldest] = ++m->clock;
    m->tlb_last = *guess = (uint8_t)oldest;
    return ready;
}

/* When the address of an access that starts at `now` is translated. */
static inline int64_t translate(memory *m, uint64_t address, int64_t now)
{
    if (!m->p.tlb_entries) return now;
    uint64_t page = address >> m->p.page_shift;
    if (LIKELY(m->tlb[m->tlb_last] == page + 1)) return now;
    uint32_t guess = m->tlb_guess[page & (TLB_GUESSES - 1)];
    if (UNLIKELY(m->tlb[guess] != page + 1)) return translate_slow(m, page, now);
    m->tlb_used[guess] = ++m->clock;
    m->tlb_last = guess;
    return now;
}

/* ---- Loads. ---- */

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
    m->loads++;
    now = translate(m, address, now);
    uint64_t line = address >> m->p.line_shift, last = (address + bytes - 1) >> m->p.line_shift;
    int64_t ready = load_line(m, address, now, level);
    if (UNLIKELY(last != line)) ready = later(ready, load_second(m, address + bytes - 1, now, level));
    if (m->p.stride_ahead) stride_sees(m, id, address, now);
    return ready;
}

/* ---- Stores. ---- */

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
    m->stores++;
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

/* ---- Life. ---- */

static int memory_make(memory *m, const memory_params *p)
{
    memset(m, 0, sizeof *m);
    m->p = *p;
    m->seed = 1;
    m->tasks = 1;
    m->dram_line_time = m->dram_shared_time = p->dram_line_time;
    m->used_by_others = calloc(OWNED_LINES, 1);
    int good = m->used_by_others != 0;
    for (uint32_t l = 0; l < p->levels; l++) good &= cache_make(&m->level[l], &p->level[l], p->line_shift, l);
    m->tlb2 = calloc(p->tlb2_entries + 1, sizeof *m->tlb2);
    m->tlb2_used = calloc(p->tlb2_entries + 1, sizeof *m->tlb2_used);
    return good && m->tlb2 && m->tlb2_used;
}

static void memory_free(memory *m)
{
    for (uint32_t l = 0; l < m->p.levels; l++) cache_free(&m->level[l]);
    free(m->used_by_others);
    free(m->tlb2);
    free(m->tlb2_used);
}

/* Time starts again at 0; what the caches hold stays. */
static void memory_restart(memory *m)
{
    for (uint32_t l = 0; l < m->p.levels; l++) {
        cache *c = &m->level[l];
        memset(c->ready, 0, (size_t)c->sets * c->ways * sizeof *c->ready);
        c->free = 0;
        c->misses = 0;
    }
    m->dram_free = m->drained = 0;
    m->section = 0;
    memset(m->fill, 0, sizeof m->fill);
    memset(m->fill_l2, 0, sizeof m->fill_l2);
    memset(m->prefetch, 0, sizeof m->prefetch);
    memset(m->prefetch_l2, 0, sizeof m->prefetch_l2);
    m->loads = m->stores = m->tlb_misses = m->walks = m->prefetches = m->dram_lines = 0;
}

/* `tasks` cores work: each has its share of the memory's bandwidth. */
static void memory_share(memory *m, int tasks)
{
    uint32_t one = m->p.dram_line_time, all = m->p.dram_all_time;
    uint64_t share = (uint64_t)all * (uint64_t)tasks;
    m->tasks = tasks;
    m->section += tasks > 1;
    m->dram_line_time = share > one ? (uint32_t)share : one;
    m->dram_shared_time = tasks > 1 && all > one ? all : one;
}

/* A line that another core uses in this section. */
static inline void memory_used_by_others(memory *m, uint64_t address, uint32_t bytes)
{
    const uint8_t bit = (uint8_t)(1u << (m->section & 7));
    uint64_t last = (address + bytes - 1) >> m->p.line_shift;
    for (uint64_t line = address >> m->p.line_shift; line <= last; line++) {
        uint8_t *sections = &m->used_by_others[line & (OWNED_LINES - 1)];
        if (UNLIKELY(!(*sections & bit))) *sections |= bit;
    }
}
