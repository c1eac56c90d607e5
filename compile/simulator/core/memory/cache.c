/* SPDX-License-Identifier: Apache-2.0 */
/* One cache: look a line up, and choose the one to replace. */
#include "memory.h"

#include <stdlib.h>

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
    if (c->replacement == REPLACE_LONGEST_AGO) return oldest;
    /* Measured on an Emerald Rapids: 64 KiB read over and over never hit its 48 KiB L1 line by line (1.45 cycles each),
     * yet half of them do (1.08) when lines of one set are asked for eight at once: trees know what has come. */
    if (c->replacement == REPLACE_TREES && !filling) return first + tree_victim(c, c->used + first);
    m->seed = m->seed * 1664525u + 1013904223u;
    return first + (m->seed >> 16) % c->ways;
}
