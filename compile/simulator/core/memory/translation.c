/* SPDX-License-Identifier: Apache-2.0 */
/* Translation of addresses: two levels of TLB, then a walk through the tables. */
#include "memory.h"

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
