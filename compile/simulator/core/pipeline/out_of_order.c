/* SPDX-License-Identifier: Apache-2.0 */
/* One instruction out of order: dispatched in turn as far as window and queues have room, issued when its operands and
 * a port are there, retired in turn.
 */
#include "state.h"

static inline int64_t dispatch(core *c, const plan *p, const insn *i)
{
    int64_t room = ring_room(&c->window, c->p.window, p->uops);
    queue *const q = &c->queue[p->op.queue];
    queue_advance(q, c->front);
    room = later(room, queue_room(q, c->p.queue[p->op.queue]));
    if (i->loads) room = later(room, ring_room(&c->loads, c->p.load_queue, i->loads));
    int64_t store_room = i->stores ? ring_room(&c->stores, c->p.store_queue, i->stores) : 0;
    if (later(room, store_room) > c->front) {
        c->front_why = store_room > room ? CAUSE_STORE : CAUSE_FRONT_END;
        c->front = later(room, store_room);
        c->used = 0;
    }
    for (uint32_t left = p->uops; left;) {
        if (c->used >= c->p.width) {
            c->front++;
            c->used = 0;
        }
        uint32_t take = c->p.width - c->used < left ? c->p.width - c->used : left;
        for (uint32_t k = 0; k < take; k++) {
            if (c->slot == c->p.width) c->slot = 0, c->group++;
            c->slot++;
        }
        c->used += take;
        left -= take;
    }
    calendar_advance(c, c->front);
    return c->front + 1;
}

/* Whether an access lies in two lines of 64 bytes: it then takes its port twice. */
static inline uint32_t is_split(const access *a)
{
    return (a->address >> 6) != ((a->address + a->bytes - 1) >> 6);
}

/* A load that found a store's data missing comes again, and takes its port each time, until they are there. */
static int64_t retry(core *c, const op_params *op, int64_t stored)
{
    int64_t last;
    issue_slots(c, op->ports, c->p.replays, stored, &last);
    return last + c->p.forward;
}

static int64_t load_once(core *c, const insn *i, const op_params *op, const access *a, int64_t from, uint8_t *why)
{
    const uint32_t split = op->slots ? is_split(a) : 0;
    int64_t last, at = issue_slots(c, op->ports, op->slots + split, from, &last);
    int level = FROM_L1;
    int64_t data = memory_load(&c->memory, (uint32_t)(i - c->program), a->address, a->bytes, split ? last : at, &level);
    int64_t stored = after_stores(c, a->address, a->bytes);
    if (UNLIKELY(stored + c->p.forward > data)) {
        data = stored + c->p.forward;
        level = FROM_L1;
        if (c->p.replays && stored > at) data = later(data, retry(c, op, stored));
    }
    if (c->p.alias && is_alias(c, a, at)) {
        data += c->p.alias;
        c->left++;
    }
    if (op->then_slots) data = issue_slots(c, op->then_ports, op->then_slots, data, &last);
    data += op->latency;
    ring_push(&c->loads, data);
    if (level != FROM_L1)
        *why = cause_of_level(level);
    else if (at > from && *why == CAUSE_FRONT_END)
        *why = CAUSE_LOAD_STORE;
    return data;
}

static int64_t loads_ooo(core *c, const insn *i, const plan *p, const access *a, int64_t from, uint8_t *why)
{
    int64_t done = from;
    uint32_t to = 0;
    for (uint32_t k = 0; k < i->loads; k++) {
        int64_t data = load_once(c, i, &p->load, &a[k], from, why);
        done = later(done, data);
        if (p->per_load) {
            to += to == i->base_update;
            result(c, i, to, to + 1, data, data, *why);
            to++;
        }
    }
    return done;
}

static int64_t stores_ooo(core *c, const insn *i, const plan *p, const access *a, int64_t address, int64_t data)
{
    int64_t done = address, last;
    for (uint32_t k = 0; k < i->stores; k++) {
        const access *s = &a[i->loads + k];
        const uint32_t split = is_split(s);
        int64_t at = issue_slots(c, p->op.ports, p->op.slots ? p->op.slots + split : 0, address, &last);
        int64_t given = p->op.then_slots ? issue_slots(c, p->op.then_ports, p->op.then_slots + split, data, &last) : data;
        /* Its line is asked for when the address is known; it leaves in order, after it has retired. */
        int64_t left = memory_store(&c->memory, s->address, s->bytes, at);
        at = later(at, given);
        remember_store(c, s->address, s->bytes, at);
        if (c->p.alias) remember_low(c, s, at);
        done = later(done, at + 1);
        ring_push(&c->stores, leave(c, s, later(left, later(at, c->retired))));
    }
    return done;
}

static inline void retire(core *c, const insn *i, const plan *p, int64_t done, uint8_t why)
{
    int64_t before = c->retired;
    if (done > c->retired) {
        c->retired = done;
        c->retired_in_cycle = 1;
    } else if (++c->retired_in_cycle > c->p.retire_width) {
        c->retired++;
        c->retired_in_cycle = 1;
    }
    for (uint32_t k = 0; k < p->uops; k++) ring_push(&c->window, c->retired);
    if (c->retired > before) charge(c, i, c->retired - before, why);
}

static void step_out_of_order(core *c, const insn *i, const plan *p, const access *a)
{
    int64_t at = dispatch(c, p, i);
    operands address = wait_for(c, i, p->address_from, i->n_src);
    operands data = wait_for(c, i, 0, p->address_from);
    uint8_t why = CAUSE_FRONT_END;
    if (c->front_why == CAUSE_STORE && i->stores) why = CAUSE_STORE;
    int64_t from = at;
    if (i->base_update != REGISTER_NONE) {
        int64_t base = later(at, address.ready) + 1;
        result(c, i, i->base_update, i->base_update + 1u, base, base, CAUSE_LATENCY);
    }
    int64_t done = at, last;
    if (i->loads) {
        from = later(at, address.ready);
        if (address.ready > at) why = address.why;
        uint8_t load_why = why;
        int64_t got = loads_ooo(c, i, p, a, from, &load_why);
        /* Measured on an Emerald Rapids: with its load, an operation waits in two places of its scheduler. */
        if (!p->loads_only) queue_push(&c->queue[p->op.queue], c->p.queue[p->op.queue], from);
        if (got >= data.ready) data = (operands){got, load_why};
        done = got;
        why = load_why;
    }
    if (i->stores) {
        done = stores_ooo(c, i, p, a, later(at, address.ready), later(at, data.ready));
        if (data.ready > at) why = data.why;
        queue_push(&c->queue[p->op.queue], c->p.queue[p->op.queue], done);
    } else if (!p->loads_only) {
        from = later(at, later(data.ready, address.ready));
        int64_t start = from;
        if (c->p.in_order_vector && p->op.queue == 2) start = later(start, c->vector_issue);
        if (p->op.blocks)
            last = start = issue_blocking(c, p->op.ports, p->op.slots, start);
        else
            start = issue_slots(c, p->op.ports, p->op.slots, start, &last);
        if (p->op.queue == 2) c->vector_issue = start;
        if (last > from)
            why = p->cause;
        else if (from > at)
            why = data.ready >= address.ready ? data.why : address.why;
        done = last + p->op.latency;
        /* What was waited for is behind; what uses the result waits for this latency, or for its port. */
        uint8_t late = why != CAUSE_FRONT_END && (i->loads || why == p->cause) ? why : CAUSE_LATENCY;
        result(c, i, 0, i->n_dst, done, last + p->op.accumulate, late);
        uint32_t entries = c->p.queue[p->op.queue];
        for (uint32_t k = p->op.blocks ? 1 : later(p->op.slots, 1); k; k--) queue_push(&c->queue[p->op.queue], entries, last);
        if (i->flags & INSN_ENDS_BLOCK) c->resolved = done;
    } else {
        if (!p->per_load)
            for (uint32_t k = 0; k < i->n_dst; k++)
                if (k != i->base_update) result(c, i, k, k + 1, done, done, why);
        queue_push(&c->queue[p->op.queue], c->p.queue[p->op.queue], from);
        if (i->flags & INSN_ENDS_BLOCK) c->resolved = done;
    }
    if (i->cls == CLASS_PREFETCH) done = at;
    retire(c, i, p, done, why);
}
