/* SPDX-License-Identifier: Apache-2.0 */
/* What is fetched before it is asked for: streams of misses, streams by page, strides by instruction. */
#include "memory.h"

/* Fetches a line into L1 or L2; 0 when all buffers are busy and it is not. */
static int prefetch_line(memory *m, uint64_t line, int64_t now, int to_l1)
{
    if (cache_find(&m->level[0], line) >= 0) return 1;
    int l2 = m->p.levels > 1;
    if (!to_l1 && l2 && cache_find(&m->level[1], line) >= 0) return 1;
    int64_t *buffers = to_l1 ? m->prefetch : m->prefetch_l2;
    int slot = earliest(buffers, m->p.prefetches), level;
    if (buffers[slot] > now) return 0;
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
