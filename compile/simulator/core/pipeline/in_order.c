/* SPDX-License-Identifier: Apache-2.0 */
/* One instruction in order: none issues before the one in front of it, and those of a cycle share its places and
 * ports.
 */
#include "state.h"

typedef struct claim { /* ports that an instruction is to take together, and for how many cycles */
    uint8_t port[16], cycles[16];
    uint32_t count;
} claim;

/* Adds `slots` port cycles of `ports`, those that are free first; gives when they all are, no earlier than `from`. */
static int64_t claim_ports(const core *c, claim *all, uint32_t ports, uint32_t slots, int64_t from)
{
    uint32_t have = (uint32_t)__builtin_popcount(ports);
    if (!have || !slots) return from;
    uint32_t cycles = (slots + have - 1) / have, take = slots < have ? slots : have;
    while (take--) {
        int best = -1;
        for (uint32_t left = ports; left; left &= left - 1) {
            int port = __builtin_ctz(left);
            if (best < 0 || c->port_free[port] < c->port_free[best]) best = port;
        }
        ports &= ~(1u << best);
        from = later(from, c->port_free[best]);
        all->port[all->count] = (uint8_t)best;
        all->cycles[all->count++] = (uint8_t)cycles;
    }
    return from;
}

/* Ports for all slots at once, no earlier than `from`, and with them those of a second step: a vector load or store
 * goes through the register file of the vector pipes as it issues. `extra` port cycles of the first. */
static int64_t ports_in_order(core *c, const op_params *op, uint32_t extra, int64_t from)
{
    if (op->blocks && op->ports) {
        int port = __builtin_ctz(op->ports);
        int64_t at = later(from, c->port_free[port]);
        c->port_free[port] = at + op->slots;
        return at;
    }
    claim all = {.count = 0};
    int64_t at = claim_ports(c, &all, op->ports, op->slots + extra, from);
    at = claim_ports(c, &all, op->then_ports & ~op->ports, op->then_slots, at);
    for (uint32_t k = 0; k < all.count; k++) c->port_free[all.port[k]] = at + all.cycles[k];
    return at;
}

/* In-order cores load 64 bits at a time and store 128: an access that is not so aligned takes a cycle more (Cortex-A55
 * Software Optimization Guide, load/store alignment; the Cortex-A53's paths are as wide). */
static inline uint32_t is_unaligned(const access *a, uint64_t path)
{
    uint64_t within = a->address & (path - 1);
    return within && within + a->bytes > path;
}

static inline uint32_t unaligned(const insn *i, const access *a)
{
    return i->loads ? is_unaligned(a, 8) : i->stores ? is_unaligned(a, 16) : 0;
}

/* The cycle in which the instruction issues: operands there, a place in the cycle, its ports free. */
static int64_t issue_in_order(core *c, const insn *i, const plan *p, const access *a, operands o, uint8_t *why)
{
    int64_t at = c->front;
    *why = c->front_why;
    if (c->used >= c->p.width || c->alone || (p->op.alone && c->used)) {
        at++;
        *why = p->cause;
    }
    if (o.ready > at) {
        at = o.ready;
        *why = o.why;
    }
    if (i->stores) {
        int64_t room = ring_room(&c->stores, c->p.store_queue, i->stores);
        if (room > at) {
            at = room;
            *why = CAUSE_STORE;
        }
    }
    int64_t start = at;
    if (p->loads_only || !i->loads) start = ports_in_order(c, &p->op, unaligned(i, a), at);
    if (start > at) *why = p->cause;
    return start;
}

static int64_t loads_in_order(core *c, const insn *i, const plan *p, const access *a, int64_t at, uint8_t *why)
{
    int64_t done = at, start = at;
    uint32_t to = 0;
    for (uint32_t k = 0; k < i->loads; k++) {
        const uint32_t extra = is_unaligned(&a[k], 8);
        if (k) start = ports_in_order(c, &p->load, extra, start + 1);
        int level = FROM_L1;
        int64_t data = memory_load(&c->memory, (uint32_t)(i - c->program), a[k].address, a[k].bytes, start, &level);
        int64_t stored = after_stores(c, a[k].address, a[k].bytes) + c->p.forward;
        data = later(data, stored) + p->load.latency + extra;
        done = later(done, data);
        *why = cause_of_level(level);
        if (p->per_load) {
            to += to == i->base_update;
            result(c, i, to, to + 1, data, data, *why);
            to++;
        }
    }
    return done;
}

static void step_in_order(core *c, const insn *i, const plan *p, const access *a)
{
    /* A store's data are read a stage after its address. */
    operands o = wait_for(c, i, p->address_from, i->n_src), data = wait_for(c, i, 0, p->address_from);
    if (i->stores && !i->loads) data.ready -= 1;
    if (data.ready > o.ready) o = data;
    uint8_t why, load_why = CAUSE_LATENCY;
    int64_t at = issue_in_order(c, i, p, a, o, &why);
    int64_t advanced = at - c->retired; /* in order, `retired` is when the instruction before issued */
    if (at > c->front) {
        c->used = 0;
        c->alone = 0;
    }
    c->retired = at;
    c->front = at;
    c->front_why = p->cause;
    c->used += p->uops;
    c->alone |= p->op.alone;
    if (advanced > 0) charge(c, i, advanced, why);
    if (i->base_update != REGISTER_NONE) result(c, i, i->base_update, i->base_update + 1u, at + 1, at + 1, CAUSE_LATENCY);
    int64_t done = at + p->op.latency;
    if (i->loads) {
        int64_t got = loads_in_order(c, i, p, a, at, &load_why);
        done = p->loads_only ? got : ports_in_order(c, &p->op, 0, got) + p->op.latency;
    }
    for (uint32_t k = 0; k < i->stores; k++) {
        const access *s = &a[i->loads + k];
        if (k) done = later(done, ports_in_order(c, &p->op, is_unaligned(s, 16), at + 1) + p->op.latency);
        remember_store(c, s->address, s->bytes, done);
        ring_push(&c->stores, memory_store(&c->memory, s->address, s->bytes, done));
    }
    if (p->per_load || i->stores) return;
    int64_t early = i->loads && p->loads_only ? done : at + p->op.accumulate;
    for (uint32_t k = 0; k < i->n_dst; k++)
        if (k != i->base_update) result(c, i, k, k + 1, done, early, load_why);
    if (i->flags & INSN_ENDS_BLOCK) c->resolved = at;
}
