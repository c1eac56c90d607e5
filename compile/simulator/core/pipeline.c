/* SPDX-License-Identifier: Apache-2.0 */
/* The core of pipeline.h, step by step. */
#include "pipeline.h"

enum { STORE_TABLE = 1024, PAGE_PARTS = 256 /* of 16 bytes */, RING = 1024 };

typedef struct plan { /* what a static instruction needs, worked out once */
    op_params op;   /* its arithmetic; of a pure load or store, the memory step */
    op_params load; /* of the loads of an instruction that also calculates */
    uint8_t cause, uops, loads_only, is_store, address_from, per_load;
    uint8_t counted;
    uint8_t data; /* first of src[] that is data of a store: [0, address_from) */
} plan;

typedef struct ring { /* the last times of something, to bound how many there are at once */
    int64_t time[RING];
    uint32_t count;
} ring;

enum { HORIZON = 1 << 15 }; /* cycles ahead that a scheduler tells apart */

typedef struct queue { /* a scheduler: the latest issue times, as many as it has entries; those gone by are left out */
    uint16_t waiting[HORIZON]; /* by cycle: operations that issue in it */
    uint32_t held;             /* in all */
    int64_t first;             /* none issues before */
    int64_t origin;            /* whose place in `waiting` is 0 */
} queue;

struct core {
    core_params p;
    memory memory;
    const insn *program;
    uint32_t count;
    plan *plans;
    double *per_insn; /* cycles by instruction and cause */
    int64_t ready[256], accumulate[256];
    uint8_t why[256]; /* what made the register late */
    int64_t front;    /* the cycle being dispatched (in order: issued) */
    uint32_t used;    /* places of it that are taken */
    uint32_t alone;   /* in order: the cycle takes no more */
    uint8_t front_why;
    int64_t retired;
    uint32_t retired_in_cycle;
    ring window, loads, stores;
    queue queue[QUEUES];
    uint64_t busy[PORTS][CALENDAR];
    int64_t full[PORTS]; /* every cycle before it is taken */
    int64_t cleared;
    int64_t port_free[PORTS];
    int64_t latest[PORTS];   /* where ports are bound: the last cycle taken, */
    uint64_t counted[PORTS]; /* the group `pending` is of, */
    uint32_t pending[PORTS];
    uint64_t group; /* the `width` micro-ops renamed together */
    uint32_t slot;  /* and how many of them have been */
    const insn *last;
    int64_t resolved; /* when the last branch knew its way */
    predictor branches;
    uint64_t code_line;
    cache code;
    uint64_t stored[STORE_TABLE];
    int64_t stored_at[STORE_TABLE];
    uint64_t low[PAGE_PARTS];     /* by its place in a page: the last store there, */
    int64_t low_given[PAGE_PARTS]; /* and when its data were there */
    uint64_t left_line;           /* of the last store that left, */
    int64_t left;                 /* and when */
    int64_t vector_issue;
    struct core_stats stats;
};

/* ---- Rings. ---- */

static inline void ring_push(ring *r, int64_t time) { r->time[r->count++ & (RING - 1)] = time; }

/* When a further one fits in where `limit` fit. */
static inline int64_t ring_room(const ring *r, uint32_t limit, uint32_t more)
{
    if (!limit || r->count + more <= limit) return 0;
    return r->time[(r->count + more - 1 - limit) & (RING - 1)];
}

static inline uint16_t *queue_at(queue *q, int64_t time) { return &q->waiting[(time - q->origin) & (HORIZON - 1)]; }

/* The time is `now`: what issues then or before holds no entry any more. */
static inline void queue_advance(queue *q, int64_t now)
{
    for (; q->held && q->first <= now; q->first++) {
        q->held -= *queue_at(q, q->first);
        *queue_at(q, q->first) = 0;
    }
    if (q->first <= now) q->first = now + 1;
}

/* When an entry is free, 0 where one is already. */
static inline int64_t queue_room(queue *q, uint32_t entries)
{
    if (LIKELY(q->held < entries || !entries)) return 0;
    while (!*queue_at(q, q->first)) q->first++;
    return q->first;
}

/* An operation issues at `time`: it holds its entry until then, in place of the earliest where all are held. */
static inline void queue_push(queue *q, uint32_t entries, int64_t time)
{
    if (!entries || time < q->first) return;
    int64_t earliest = queue_room(q, entries);
    if (UNLIKELY(earliest)) {
        if (time <= earliest) return;
        --*queue_at(q, earliest);
        q->held--;
    }
    if (UNLIKELY(time >= q->first + HORIZON)) time = q->first + HORIZON - 1;
    ++*queue_at(q, time);
    q->held++;
}

/* ---- Plans. ---- */

static const uint8_t issue_causes[CLASSES] = {
    [CLASS_NOP] = CAUSE_FRONT_END, [CLASS_INT] = CAUSE_INTEGER, [CLASS_SHIFT] = CAUSE_INTEGER,
    [CLASS_MUL] = CAUSE_INTEGER, [CLASS_DIV] = CAUSE_INTEGER, [CLASS_BRANCH] = CAUSE_INTEGER,
    [CLASS_CALL] = CAUSE_INTEGER, [CLASS_LOAD_INT] = CAUSE_LOAD_STORE, [CLASS_STORE_INT] = CAUSE_LOAD_STORE,
    [CLASS_LOAD_VEC] = CAUSE_LOAD_STORE, [CLASS_STORE_VEC] = CAUSE_LOAD_STORE,
    [CLASS_LOAD_BROADCAST] = CAUSE_LOAD_STORE, [CLASS_LOAD_LANE] = CAUSE_LOAD_STORE, [CLASS_FMA] = CAUSE_FMA,
    [CLASS_FP_ADD] = CAUSE_VECTOR, [CLASS_FP_MUL] = CAUSE_VECTOR, [CLASS_FP_CMP] = CAUSE_VECTOR,
    [CLASS_FP_DIV_SQRT] = CAUSE_VECTOR, [CLASS_VEC_MOVE] = CAUSE_VECTOR, [CLASS_VEC_PERMUTE] = CAUSE_VECTOR,
    [CLASS_VEC_INT] = CAUSE_VECTOR, [CLASS_VEC_TO_INT] = CAUSE_VECTOR, [CLASS_INT_TO_VEC] = CAUSE_VECTOR,
    [CLASS_PREFETCH] = CAUSE_LOAD_STORE,
};

static uint32_t width_index(uint32_t bytes) { return bytes <= 8 ? 0 : bytes <= 16 ? 1 : bytes <= 32 ? 2 : 3; }

static int is_load_class(uint8_t cls)
{
    return cls == CLASS_LOAD_INT || cls == CLASS_LOAD_VEC || cls == CLASS_LOAD_BROADCAST || cls == CLASS_LOAD_LANE
           || cls == CLASS_PREFETCH;
}

static plan plan_of(const core_params *p, const insn *i)
{
    uint32_t width = width_index(i->width);
    plan made = {.op = p->ops[i->cls][width], .cause = issue_causes[i->cls]};
    made.loads_only = is_load_class(i->cls);
    made.is_store = i->stores > 0;
    made.load = made.loads_only ? made.op : p->ops[i->width ? CLASS_LOAD_VEC : CLASS_LOAD_INT][width];
    made.address_from = i->first_address < i->n_src ? i->first_address : i->n_src;
    made.counted = !(i->flags & INSN_CONTINUES);
    uint32_t accesses = (uint32_t)i->loads + i->stores;
    made.uops = made.op.micro_ops;
    /* Where ports are bound (Intel), a load with an index is parted from its arithmetic before renaming. */
    if (p->binds && i->loads && !made.loads_only && i->n_src - made.address_from >= 2) made.uops++;
    if (accesses > 1) made.uops = (uint8_t)(made.uops * accesses);
    made.per_load = made.loads_only && i->n_dst - (i->base_update != 255) == i->loads && i->loads > 1;
    return made;
}

/* ---- The calendar of ports (out of order). ---- */

static inline int64_t port_first(core *c, int port, int64_t from)
{
    int64_t at = later(from, c->full[port]);
    int64_t end = c->cleared + (CALENDAR - 1) * 64;
    while (at < end) {
        uint64_t open = ~c->busy[port][(at >> 6) & (CALENDAR - 1)] >> (at & 63);
        if (LIKELY(open)) return at + __builtin_ctzll(open);
        at = (at | 63) + 1;
    }
    return at;
}

static inline void port_take(core *c, int port, int64_t at)
{
    if (at >= c->cleared + (CALENDAR - 1) * 64) return;
    c->busy[port][(at >> 6) & (CALENDAR - 1)] |= 1ull << (at & 63);
    if (at > c->latest[port]) c->latest[port] = at;
    if (at == c->full[port]) c->full[port] = at + 1;
}

/* How many operations wait for a port, as the renamer knew when this group began. */
static uint32_t port_pending(core *c, int port)
{
    const int64_t now = c->front;
    if (c->counted[port] == c->group) return c->pending[port];
    uint32_t waiting = 0;
    for (int64_t word = now >> 6; word <= c->latest[port] >> 6; word++) {
        uint64_t taken = c->busy[port][word & (CALENDAR - 1)];
        if (word == now >> 6) taken &= ~0ull << (now & 63);
        waiting += (uint32_t)__builtin_popcountll(taken);
    }
    c->counted[port] = c->group;
    return c->pending[port] = waiting;
}

enum { UNEVEN = 3 };

/* Renaming binds an operation to the port with the fewest waiting; every other place of the group takes the one after
 * it, unless that has many more (Abel and Reineke, uiCA: measured on Intel's cores from Sandy Bridge on). Groups are of
 * `width` micro-ops, however few there is room for in a cycle: so an Emerald Rapids was measured to slow down where nops
 * put multiply-adds on every other place. */
static uint32_t port_bound(core *c, uint32_t ports)
{
    int least = -1, second = -1;
    for (uint32_t left = ports; left; left &= left - 1) {
        int port = __builtin_ctz(left);
        uint32_t waiting = port_pending(c, port);
        if (least < 0 || waiting < c->pending[least]) {
            second = least;
            least = port;
        } else if (second < 0 || waiting < c->pending[second]) {
            second = port;
        }
    }
    int other = !(c->slot & 1) && second >= 0 && c->pending[second] < c->pending[least] + UNEVEN;
    return 1u << (other ? second : least);
}

/* Takes one port cycle of `ports` at or after `from`; gives the cycle. */
static inline int64_t port_issue(core *c, uint32_t ports, int64_t from)
{
    int best = -1;
    if (c->p.binds && (ports & (ports - 1))) ports = port_bound(c, ports);
    int64_t when = INT64_MAX;
    while (ports) {
        int port = __builtin_ctz(ports);
        ports &= ports - 1;
        int64_t at = port_first(c, port, from);
        if (at < when) {
            when = at;
            best = port;
        }
    }
    if (best < 0) return from;
    port_take(c, best, when);
    return when;
}

/* The start of an operation that takes `slots` port cycles; `last` is that of the last of them. */
static inline int64_t issue_slots(core *c, uint32_t ports, uint32_t slots, int64_t from, int64_t *last)
{
    if (!slots) {
        *last = from;
        return from;
    }
    int64_t start = port_issue(c, ports, from);
    *last = start;
    while (--slots) *last = port_issue(c, ports, start);
    return start;
}

static int64_t issue_blocking(core *c, uint32_t ports, uint32_t slots, int64_t from)
{
    int port = __builtin_ctz(ports);
    int64_t at = port_first(c, port, later(from, c->port_free[port]));
    c->port_free[port] = at + slots;
    port_take(c, port, at);
    return at;
}

static inline void calendar_advance(core *c, int64_t now)
{
    int64_t word = now & ~63ll;
    if (LIKELY(word <= c->cleared)) return;
    int64_t steps = (word - c->cleared) >> 6;
    if (steps > CALENDAR) steps = CALENDAR;
    for (int64_t k = 0; k < steps; k++)
        for (int port = 0; port < PORTS; port++) c->busy[port][((word >> 6) - 1 - k) & (CALENDAR - 1)] = 0;
    c->cleared = word;
}

/* ---- Control flow. ---- */

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

/* ---- Loads after stores to the same place. ---- */

static inline void remember_store(core *c, uint64_t address, uint32_t bytes, int64_t ready)
{
    for (uint64_t g = address >> 4; g <= (address + bytes - 1) >> 4; g++) {
        c->stored[g & (STORE_TABLE - 1)] = g;
        c->stored_at[g & (STORE_TABLE - 1)] = ready;
    }
}

static inline int64_t after_stores(const core *c, uint64_t address, uint32_t bytes)
{
    int64_t ready = 0;
    for (uint64_t g = address >> 4; g <= (address + bytes - 1) >> 4; g++)
        if (UNLIKELY(c->stored[g & (STORE_TABLE - 1)] == g)) ready = later(ready, c->stored_at[g & (STORE_TABLE - 1)]);
    return ready;
}

/* A store leaves at `at` or later, one line a cycle. */
static inline int64_t leave(core *c, const access *s, int64_t at)
{
    uint64_t line = s->address >> 6;
    if (line != c->left_line) at = later(at, c->left + 1);
    c->left_line = line;
    return c->left = later(c->left, at);
}

/* The data of a store are there at `given`. */
static inline void remember_low(core *c, const access *s, int64_t given)
{
    for (uint64_t g = s->address >> 4; g <= (s->address + s->bytes - 1) >> 4; g++) {
        c->low[g & (PAGE_PARTS - 1)] = g;
        c->low_given[g & (PAGE_PARTS - 1)] = given;
    }
}

/* Whether a load at `now` looks, by its place in a page, as if it read what a store before it writes. */
static inline int is_alias(const core *c, const access *a, int64_t now)
{
    for (uint64_t g = a->address >> 4; g <= (a->address + a->bytes - 1) >> 4; g++)
        if (c->low_given[g & (PAGE_PARTS - 1)] > now && c->low[g & (PAGE_PARTS - 1)] != g) return 1;
    return 0;
}

/* ---- Operands. ---- */

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

/* ---- Accounts. ---- */

static inline void charge(core *c, const insn *i, int64_t cycles, uint8_t why)
{
    c->stats.causes[why] += (double)cycles;
    c->per_insn[(i - c->program) * CAUSES + why] += (double)cycles;
    if (i->flags & INSN_STACK) c->stats.spill_cycles += (double)cycles;
}

static inline void tally(core *c, const insn *i, const plan *p)
{
    c->stats.instructions += p->counted;
    c->stats.flops += i->flops;
    c->stats.loads += i->loads;
    c->stats.stores += i->stores;
    if (UNLIKELY(i->flags & INSN_STACK)) {
        c->stats.spill_loads += i->loads;
        c->stats.spill_stores += i->stores;
    }
}

/* ---- Out of order. ---- */

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
    if (i->base_update != 255) {
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

/* ---- In order. ---- */

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
    if (i->base_update != 255) result(c, i, i->base_update, i->base_update + 1u, at + 1, at + 1, CAUSE_LATENCY);
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

/* ---- What the interpreter calls. ---- */

static inline void core_step(core *c, const insn *i, const access *a, int accesses)
{
    (void)accesses;
    const plan *p = &c->plans[i - c->program];
    follow(c, i);
    tally(c, i, p);
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
    c->stats.launches++;
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
    c->stats.prefetches = c->memory.prefetches;
    *stats = c->stats;
    if (per_insn) memcpy(per_insn, c->per_insn, (size_t)c->count * CAUSES * sizeof *per_insn);
}
