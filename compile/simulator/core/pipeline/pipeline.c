/* SPDX-License-Identifier: Apache-2.0 */
/* The core of pipeline.h as the interpreter drives it, made of the parts below. */
#include "state.h"

#include "queues.c"
#include "plans.c"
#include "ports.c"
#include "branches.c"
#include "front_end.c"
#include "store_order.c"
#include "operands.c"
#include "out_of_order.c"
#include "in_order.c"
#include "sampling.c"

static inline void core_step(core *c, const insn *i, const access *a, int accesses)
{
    (void)accesses;
    const plan *p = &c->plans[i - c->program];
    follow(c, i);
    c->stats.instructions += p->counted;
    if (c->p.in_order)
        step_in_order(c, i, p, a);
    else
        step_out_of_order(c, i, p, a);
}

static inline void core_mark(core *c, const access *a, int accesses)
{
    for (int k = 0; k < accesses; k++) memory_used_by_others(&c->memory, a[k].address, a[k].bytes);
}

static void core_touch(core *c, const access *a, int accesses)
{
    int level = 0;
    for (int k = 0; k < accesses; k++) {
        int64_t now = c->front += 2;
        if (a[k].is_store)
            memory_store(&c->memory, a[k].address, a[k].bytes, now);
        else
            memory_load(&c->memory, 0, a[k].address, a[k].bytes, now, &level);
    }
}

/* The cycle by which everything begun so far is done. */
static int64_t all_done(const core *c)
{
    int64_t last = later(c->front, c->retired);
    for (int r = 0; r < 256; r++) last = later(last, c->ready[r]);
    return last;
}

static void wait_all(core *c, int64_t more, uint8_t why)
{
    int64_t done = all_done(c) + more;
    int64_t known = c->retired;
    if (done > known) c->stats.causes[why] += (double)(done - known);
    front_wait(c, done, why);
    c->retired = later(c->retired, done);
}

static void core_parallel(core *c, int tasks)
{
    memory_share(&c->memory, tasks);
    if (tasks <= 1) return;
    wait_all(c, c->p.launch + c->p.launch_task * (int64_t)(tasks - 1), CAUSE_LAUNCH);
}

/* Calls, loads that depend on one another: six tenths of the width out of order, four in order. */
static void core_runtime(core *c, uint32_t instructions)
{
    int64_t before = c->p.in_order ? c->front : c->retired;
    front_wait(c, c->front + instructions * 10 / (c->p.width * (c->p.in_order ? 4 : 6)), CAUSE_FRONT_END);
    c->retired = later(c->retired, c->front);
    for (uint32_t k = 0; k < instructions && k < RING; k++) ring_push(&c->window, c->retired);
    int64_t after = c->p.in_order ? c->front : c->retired;
    if (c->last && after > before) charge(c, c->last, after - before, CAUSE_INTEGER);
}

static void core_stream(core *c, uint64_t target, uint64_t source, uint64_t bytes)
{
    int64_t start = all_done(c), now = start;
    for (uint64_t at = 0; at < bytes; at += 64) {
        uint32_t size = bytes - at < 64 ? (uint32_t)(bytes - at) : 64;
        int level = 0;
        int64_t ready = source ? memory_load(&c->memory, 0, source + at, size, now, &level) : now;
        ring_push(&c->stores, memory_store(&c->memory, target + at, size, ready));
        now = later(now + 4, ring_room(&c->stores, 8, 1));
    }
    c->stats.causes[CAUSE_STORE] += (double)(now - start);
    front_wait(c, now, CAUSE_STORE);
    c->retired = later(c->retired, now);
}

/* Instructions by index, in the order given; `a` holds the accesses of all, one after another. */
EXPORT void core_replay(core *c, const uint32_t *order, uint64_t count, const access *a)
{
    for (uint64_t k = 0; k < count; k++) {
        const insn *i = &c->program[order[k]];
        int accesses = i->loads + i->stores;
        core_step(c, i, a, accesses);
        a += accesses;
    }
}

EXPORT core *core_create(const struct core_params *params, const insn *program, uint32_t count)
{
    core *c = calloc(1, sizeof *c);
    if (!c) return 0;
    c->p = *params;
    c->program = program;
    c->count = count;
    c->plans = calloc(count + 1, sizeof *c->plans);
    c->per_insn = calloc((size_t)(count + 1) * CAUSES, sizeof *c->per_insn);
    cache_params code = {.bytes = params->code_bytes, .ways = params->code_ways ? params->code_ways : 1};
    int good = memory_make(&c->memory, &params->memory) & cache_make(&c->code, &code, 6, 0);
    c->memory.slack = params->in_order ? 0 : (int64_t)params->window << 8;
    if (!good || !c->plans || !c->per_insn) {
        core_destroy(c);
        return 0;
    }
    for (uint32_t k = 0; k < count; k++) c->plans[k] = plan_of(params, &program[k]);
    memset(c->branches.counters, 2, sizeof c->branches.counters);
    c->group = 1;
    return c;
}

EXPORT void core_destroy(core *c)
{
    if (!c) return;
    memory_free(&c->memory);
    cache_free(&c->code);
    free(c->plans);
    free(c->per_insn);
    free(c);
}

EXPORT void core_restart(core *c)
{
    memory_restart(&c->memory);
    memset(c->ready, 0, sizeof c->ready);
    memset(c->accumulate, 0, sizeof c->accumulate);
    memset(c->busy, 0, sizeof c->busy);
    memset(c->full, 0, sizeof c->full);
    memset(c->port_free, 0, sizeof c->port_free);
    memset(c->latest, 0, sizeof c->latest);
    memset(c->counted, 0, sizeof c->counted);
    c->group = 1, c->slot = 0;
    memset(c->stored_at, 0, sizeof c->stored_at);
    memset(c->low_given, 0, sizeof c->low_given);
    c->left = 0;
    memset(&c->window, 0, sizeof c->window);
    memset(&c->loads, 0, sizeof c->loads);
    memset(&c->stores, 0, sizeof c->stores);
    memset(c->queue, 0, sizeof c->queue);
    memset(&c->stats, 0, sizeof c->stats);
    memset(c->per_insn, 0, (size_t)(c->count + 1) * CAUSES * sizeof *c->per_insn);
    c->front = c->retired = c->cleared = c->resolved = c->vector_issue = 0;
    c->used = c->alone = c->retired_in_cycle = 0;
    c->last = 0;
}

EXPORT void core_stats(core *c, struct core_stats *stats, double *per_insn)
{
    wait_all(c, 0, CAUSE_LATENCY);
    c->stats.cycles = (double)all_done(c);
    for (uint32_t l = 0; l < c->memory.p.levels; l++) c->stats.misses[l] = c->memory.level[l].misses;
    c->stats.dram_lines = c->memory.dram_lines;
    c->stats.tlb_misses = c->memory.tlb_misses;
    c->stats.walks = c->memory.walks;
    *stats = c->stats;
    if (per_insn) memcpy(per_insn, c->per_insn, (size_t)c->count * CAUSES * sizeof *per_insn);
}
