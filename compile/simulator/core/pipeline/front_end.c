/* SPDX-License-Identifier: Apache-2.0 */
/* Control flow: when the next instruction can be there, after a branch and from the instruction cache. */
#include "state.h"

static void front_wait(core *c, int64_t until, uint8_t why)
{
    if (until <= c->front) return;
    c->front = until;
    c->used = 0;
    c->alone = 0;
    c->front_why = why;
}

static void after_branch(core *c, const insn *next)
{
    int taken = next != c->last + 1;
    int right = expected(&c->branches, c->p.history, c->last->address, taken);
    if (!right && c->last->cls == CLASS_BRANCH) {
        c->stats.mispredicted++;
        front_wait(c, c->resolved + c->p.mispredict, CAUSE_FRONT_END);
    } else if (taken && c->p.taken) {
        front_wait(c, c->front + c->p.taken, CAUSE_FRONT_END);
    }
}

static void fetch_code(core *c, uint64_t line)
{
    int64_t slot = cache_find(&c->code, line);
    int sequential = line == c->code_line + 1;
    c->code_line = line;
    if (slot < 0) {
        size_t put = cache_victim(&c->code, &c->memory, line, 0);
        c->code.tags[put] = line + 1;
        c->code.used[put] = ++c->memory.clock;
        uint32_t wait = sequential && c->p.code_next ? c->p.code_latency / 4 : c->p.code_latency;
        front_wait(c, c->front + wait, CAUSE_FRONT_END);
    } else {
        c->code.used[slot] = ++c->memory.clock;
    }
}

static inline void follow(core *c, const insn *i)
{
    if (c->last && (c->last->flags & INSN_ENDS_BLOCK)) after_branch(c, i);
    c->last = i;
    uint64_t line = i->address >> 6;
    if (UNLIKELY(line != c->code_line) && c->p.code_bytes) fetch_code(c, line);
}
