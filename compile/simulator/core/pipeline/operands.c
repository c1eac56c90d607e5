/* SPDX-License-Identifier: Apache-2.0 */
/* When an instruction's operands are there and what made them late, and the account of what its cycles went to. */
#include "state.h"

typedef struct operands {
    int64_t ready;
    uint8_t why;
} operands;

static inline operands wait_for(const core *c, const insn *i, uint32_t from, uint32_t to)
{
    operands o = {0, CAUSE_LATENCY};
    for (uint32_t k = from; k < to; k++) {
        uint8_t r = i->src[k];
        int64_t at = k == i->accumulator ? c->accumulate[r] : c->ready[r];
        if (at > o.ready) {
            o.ready = at;
            o.why = c->why[r];
        }
    }
    return o;
}

static inline void result(core *c, const insn *i, uint32_t from, uint32_t to, int64_t ready, int64_t accumulate, uint8_t why)
{
    for (uint32_t k = from; k < to; k++) {
        uint8_t r = i->dst[k];
        c->ready[r] = ready;
        c->accumulate[r] = accumulate;
        c->why[r] = why;
    }
}

static inline uint8_t cause_of_level(int level)
{
    return (uint8_t)(level == FROM_L1 ? CAUSE_LATENCY : CAUSE_L1 + level);
}

static inline void charge(core *c, const insn *i, int64_t cycles, uint8_t why)
{
    c->stats.causes[why] += (double)cycles;
    c->per_insn[(i - c->program) * CAUSES + why] += (double)cycles;
}
