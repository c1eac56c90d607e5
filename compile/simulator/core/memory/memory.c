/* SPDX-License-Identifier: Apache-2.0 */
/* The memory system of memory.h, made of the parts below, and its life from one kernel to the next. */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

#include "cache.c"
#include "levels.c"
#include "prefetchers.c"
#include "translation.c"
#include "loads.c"
#include "stores.c"

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
    m->tlb_misses = m->walks = m->dram_lines = 0;
}

/* `tasks` cores work: each has its share of the memory's bandwidth. */
static void memory_share(memory *m, int tasks)
{
    uint32_t one = m->p.dram_line_time, all = m->p.dram_all_time;
    uint64_t share = (uint64_t)all * (uint64_t)tasks;
    m->tasks = tasks;
    m->section += tasks > 1;
    m->dram_line_time = tasks > 1 && share > one ? (uint32_t)share : one;
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
