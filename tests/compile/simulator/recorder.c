// SPDX-License-Identifier: Apache-2.0
// The interpreter with a core that only writes down what it is given.
#include <stdlib.h>

#include "core.h"

typedef struct record {
    uint64_t instruction, address;
    uint32_t bytes, is_store;
} record;
struct core {
    record *records;
    uint64_t count, room;
};
static core the_core;

EXPORT core *core_create(const struct core_params *params, const insn *program, uint32_t count)
{
    (void)params, (void)program, (void)count;
    the_core.count = 0, the_core.room = 1u << 24;
    the_core.records = malloc(the_core.room * sizeof(record));
    return &the_core;
}
EXPORT void core_destroy(core *c) { free(c->records); }
EXPORT void core_restart(core *c) { c->count = 0; }
EXPORT void core_stats(core *c, struct core_stats *stats, double *per_insn) { (void)c, (void)stats, (void)per_insn; }
EXPORT void core_replay(core *c, const uint32_t *order, uint64_t n, const access *a) { (void)c, (void)order, (void)n, (void)a; }
EXPORT const record *records(uint64_t *count) { *count = the_core.count; return the_core.records; }
static void add(core *c, record one)
{
    if (c->count == c->room)
        abort();
    c->records[c->count++] = one;
}
// An instruction, then its accesses.
static void core_step(core *c, const insn *i, const access *a, int n)
{
    if (!(i->flags & INSN_CONTINUES))
        add(c, (record){i->address, 0, 0, 0});
    for (int k = 0; k < n; k++)
        add(c, (record){i->address, a[k].address, a[k].bytes, a[k].is_store});
}
static void core_touch(core *c, const access *a, int n) { (void)c, (void)a, (void)n; }
static void core_parallel(core *c, int tasks) { (void)c, (void)tasks; }
static void core_runtime(core *c, uint32_t n) { (void)c, (void)n; }
static inline void core_mark(core *c, const access *a, int n) { (void)c, (void)a, (void)n; }
static void core_stream(core *c, uint64_t to, uint64_t from, uint64_t n) { (void)c, (void)to, (void)from, (void)n; }
typedef struct paused { int unused; } paused;
static void core_pause(core *c, paused *p) { (void)c, (void)p; }
static double core_stream_cycles(const core *c) { (void)c; return 0; }
static void core_skim(core *c, const access *a) { (void)c, (void)a; }
static void core_resume(core *c, const paused *p) { (void)c, (void)p; }

#include "interpreter/interpret.c"
