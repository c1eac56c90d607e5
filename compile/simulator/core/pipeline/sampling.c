/* SPDX-License-Identifier: Apache-2.0 */
/* Lets a core skip a stretch of the program: its caches follow, its clock does not.
 *
 * At a pause the core keeps what is in flight. While it is paused the interpreter touches memory only. It goes on as if
 * the last instruction before the pause had come just before the next: all its times move on by the same number of
 * cycles.
 */
#include "state.h"

enum { CALENDAR_CYCLES = CALENDAR * 64 }; /* ports keep a calendar that returns after so many */

typedef struct paused { /* the memory system's buses and buffers, as the timed instructions had them */
    int64_t front, dram_free, drained, level_free[MAX_LEVELS];
    int64_t fill[MAX_FILLS], fill_l2[MAX_FILLS], prefetch[MAX_FILLS], prefetch_l2[MAX_FILLS];
} paused;

static void core_pause(core *c, paused *p)
{
    const memory *m = &c->memory;
    *p = (paused){.front = c->front, .dram_free = m->dram_free, .drained = m->drained};
    for (uint32_t l = 0; l < MAX_LEVELS; l++) p->level_free[l] = m->level[l].free;
    memcpy(p->fill, m->fill, sizeof p->fill);
    memcpy(p->fill_l2, m->fill_l2, sizeof p->fill_l2);
    memcpy(p->prefetch, m->prefetch, sizeof p->prefetch);
    memcpy(p->prefetch_l2, m->prefetch_l2, sizeof p->prefetch_l2);
}

enum { IN_FLIGHT = 300 }; /* cycles */

/* An access while paused. Data are never much further away than they are while instructions are timed: without
 * the wait that a full queue means to a core, ever more would be on its way. */
static NOINLINE void core_skim(core *c, const access *a)
{
    int level = 0;
    int64_t now = c->front += 2, there;
    if (a->is_store)
        there = memory_store(&c->memory, a->address, a->bytes, now);
    else
        there = memory_load(&c->memory, 0, a->address, a->bytes, now, &level);
    c->front = later(c->front, later(there - IN_FLIGHT, c->memory.dram_free >> 8));
}

static void move_on(int64_t *times, const int64_t *from, size_t count, int64_t by)
{
    for (size_t k = 0; k < count; k++) times[k] = from[k] + by;
}

static void core_resume(core *c, const paused *p)
{
    memory *m = &c->memory;
    int64_t skipped = c->front - p->front, by = (skipped + CALENDAR_CYCLES - 1) / CALENDAR_CYCLES * CALENDAR_CYCLES;
    c->front = p->front + by;
    m->dram_free = p->dram_free + (by << 8);
    m->drained = p->drained + by;
    for (uint32_t l = 0; l < MAX_LEVELS; l++) m->level[l].free = p->level_free[l] + (by << 8);
    move_on(m->fill, p->fill, MAX_FILLS, by);
    move_on(m->fill_l2, p->fill_l2, MAX_FILLS, by);
    move_on(m->prefetch, p->prefetch, MAX_FILLS, by);
    move_on(m->prefetch_l2, p->prefetch_l2, MAX_FILLS, by);
    move_on(c->ready, c->ready, 256, by);
    move_on(c->accumulate, c->accumulate, 256, by);
    move_on(c->window.time, c->window.time, RING, by);
    move_on(c->loads.time, c->loads.time, RING, by);
    move_on(c->stores.time, c->stores.time, RING, by);
    for (int q = 0; q < QUEUES; q++) c->queue[q].first += by, c->queue[q].origin += by;
    move_on(c->full, c->full, PORTS, by);
    move_on(c->latest, c->latest, PORTS, by);
    move_on(c->port_free, c->port_free, PORTS, by);
    move_on(c->stored_at, c->stored_at, STORE_TABLE, by);
    move_on(c->low_given, c->low_given, PAGE_PARTS, by);
    c->left += by;
    c->retired += by;
    c->cleared += by;
    c->resolved += by;
    c->vector_issue += by;
    c->last = 0;
}

/* Cycles that no instruction answers for: those of core_stream, and stores it waited for. */
static double core_stream_cycles(const core *c) { return c->stats.causes[CAUSE_STORE]; }
