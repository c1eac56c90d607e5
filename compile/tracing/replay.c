/* SPDX-License-Identifier: Apache-2.0 */
/* Prices what the emulator tells: one virtual CPU's words (stream.h) on one core of the core model.
 *
 * A block is known when its instructions were decoded; the accesses that follow its word belong to its
 * instructions by their places. Instructions run when the block after theirs begins, when all accesses are there.
 */
#include "simulator.c"

#include "stream.h"

enum { MOST_ACCESSES = 1 << 15, NO_PLACE = 0xffff };

typedef struct entry { /* beside each insn of the program */
    uint16_t place;    /* which machine instruction of the block it is (a part of) */
    uint16_t from;     /* a prefetch: the place whose address its own is told by, */
    int32_t by;        /* and how many bytes beyond */
} entry;

typedef struct known { /* a block's insns: [first, first + count) */
    uint32_t first, count;
    uint32_t waits; /* it spins until another thread has done something, which is no work */
} known;

enum { MOST_OTHERS = 63 };

typedef struct replay {
    struct replay *others[MOST_OTHERS]; /* the cores at work beside it */
    uint32_t n_others;
    core *c;
    insn *program;
    const entry *entries;
    uint64_t *counts; /* by insn, in the timed region */
    known *blocks;
    uint32_t n_blocks, learnt;
    uint32_t mode, running; /* enum region; the block begun last, or n_blocks */
    uint32_t accesses;
    uint32_t cores; /* at work together: each has its share of what they share */
    access did[MOST_ACCESSES];
    uint16_t places[MOST_ACCESSES];
} replay;

EXPORT replay *replay_create(const core_params *params, insn *program, const entry *entries, uint32_t room, uint32_t cores)
{
    replay *r = calloc(1, sizeof *r);
    if (!r) return 0;
    r->c = core_create(params, program, room);
    r->counts = calloc(room, sizeof *r->counts);
    r->program = program, r->entries = entries, r->cores = cores;
    if (r->c && r->counts) return r;
    if (r->c) core_destroy(r->c);
    free(r->counts), free(r);
    return 0;
}

EXPORT void replay_destroy(replay *r)
{
    core_destroy(r->c);
    free(r->counts), free(r->blocks), free(r);
}

/* Both are of one program: what one uses in a section the other does not have to itself. */
EXPORT void replay_meet(replay *one, replay *other)
{
    if (one->n_others < MOST_OTHERS) one->others[one->n_others++] = other;
}

/* Tells of block `id`, whose `count` insns from `first` on the program has by now. The one before them is a ghost:
 * see run_block. */
EXPORT int replay_define(replay *r, uint32_t id, uint32_t first, uint32_t count, uint32_t waits)
{
    if (id >= r->n_blocks) {
        uint32_t room = 2 * id + 1024;
        known *more = realloc(r->blocks, room * sizeof *more);
        if (!more) return 0;
        memset(more + r->n_blocks, 0, (room - r->n_blocks) * sizeof *more);
        if (r->running == r->n_blocks) r->running = room;
        r->blocks = more, r->n_blocks = room;
    }
    r->blocks[id] = (known){first, count, waits};
    for (uint32_t k = first; k < first + count; k++) r->c->plans[k] = plan_of(&r->c->p, &r->program[k]);
    return 1;
}

/* `want` accesses of one kind out of what the emulator made of them: it loads 16 bytes as twice 8, and tells each
 * element of a structure. Bytes that lie side by side are shared out evenly. */
static uint32_t gather(const replay *r, uint32_t from, uint32_t to, uint32_t store, uint32_t want, access *out)
{
    uint64_t first = ~0ull, last = 0;
    uint32_t have = 0;
    for (uint32_t k = from; k < to; k++) {
        const access *one = &r->did[k];
        if (one->is_store != store) continue;
        if (have < want) out[have] = *one;
        have++;
        if (one->address < first) first = one->address;
        if (one->address + one->bytes > last) last = one->address + one->bytes;
    }
    if (have == want || have == 0 || want == 0) return have < want ? have : want;
    uint32_t each = (uint32_t)((last - first) / want);
    if (each == 0 || last - first > 64 * want) return have < want ? have : want;
    for (uint32_t k = 0; k < want; k++) out[k] = (access){first + k * each, each, store};
    return want;
}

/* Where the accesses of `place` begin and end. They are in the order of the instructions. */
static uint32_t accesses_of(const replay *r, uint32_t at, uint16_t place, uint32_t *end)
{
    while (at < r->accesses && r->places[at] < place) at++;
    *end = at;
    while (*end < r->accesses && r->places[*end] == place) ++*end;
    return at;
}

static int prefetched(const replay *r, const entry *e, access *out)
{
    uint32_t end, at = e->from == NO_PLACE ? r->accesses : accesses_of(r, 0, e->from, &end);
    if (at >= r->accesses || r->places[at] != e->from) return 0;
    uint64_t first = r->did[at].address;
    for (uint32_t k = at; k < end; k++) first = r->did[k].address < first ? r->did[k].address : first;
    *out = (access){first + (uint64_t)(int64_t)e->by, 1, 0};
    return 1;
}

static void do_insn(replay *r, uint32_t index, const access *a, int accesses)
{
    const insn *i = &r->program[index];
    if (r->mode != REGION_TIMED) {
        core_touch(r->c, a, accesses);
        return;
    }
    r->counts[index]++;
    for (uint32_t k = 0; k < r->n_others; k++) core_mark(r->others[k]->c, a, accesses);
    core_step(r->c, i, a, accesses);
}

static void run_insn(replay *r, uint32_t index, uint32_t from, uint32_t to)
{
    const insn *i = &r->program[index];
    access a[2 * MAX_ACCESSES] = {0};
    uint32_t have = 0;
    if (i->cls == CLASS_PREFETCH)
        have = (uint32_t)prefetched(r, &r->entries[index], a);
    else {
        have += gather(r, from, to, 0, i->loads, a);
        have += gather(r, from, to, 1, i->stores, a + have);
    }
    uint32_t want = (uint32_t)i->loads + i->stores;
    for (uint32_t k = have; k < want; k++) a[k] = have ? a[have - 1] : (access){64, 1, k >= i->loads};
    do_insn(r, index, a, (int)want);
}

/* A branch that was not taken leads to the insn after its own, which the core tells by their places in the program.
 * Blocks lie there in the order in which they were met, so a copy of the branch is put before this one. */
static void come_from(replay *r, const known *b)
{
    core *c = r->c;
    const insn *next = &r->program[b->first];
    if (c->last && c->last->address + 4 == next->address) {
        insn *ghost = &r->program[b->first - 1];
        *ghost = *c->last;
        c->last = ghost;
    }
}

static void run_block(replay *r)
{
    if (r->running >= r->n_blocks) return;
    const known *b = &r->blocks[r->running];
    if (b->waits) {
        r->accesses = 0;
        return;
    }
    if (r->mode == REGION_TIMED) come_from(r, b);
    uint32_t at = 0, end = 0;
    for (uint32_t k = b->first; k < b->first + b->count; k++) {
        if (r->program[k].loads + r->program[k].stores) at = accesses_of(r, at, r->entries[k].place, &end);
        run_insn(r, k, at, end);
    }
    r->accesses = 0;
    r->running = r->n_blocks;
}

static void begin_region(replay *r, uint32_t which)
{
    run_block(r);
    if (r->n_others) memset(r->c->memory.used_by_others, 0, OWNED_LINES);
    if (which == REGION_SECTION) return;
    if (which == REGION_TIMED) core_restart(r->c);
    memory_share(&r->c->memory, (int)r->cores);
    r->mode = which;
}

/* Takes words until one needs a block that is not known: gives how many were taken. */
EXPORT uint64_t replay_feed(replay *r, const uint64_t *words, uint64_t count)
{
    for (uint64_t k = 0; k < count; k++) {
        uint64_t word = words[k];
        uint32_t kind = (uint32_t)(word >> KIND_SHIFT);
        if (kind == KIND_LOAD || kind == KIND_STORE) {
            if (r->accesses == MOST_ACCESSES) continue;
            uint32_t bytes = 1u << (word >> SIZE_SHIFT & 7);
            r->places[r->accesses] = (uint16_t)(word >> PLACE_SHIFT & LAST_PLACE);
            r->did[r->accesses++] = (access){word & 0xffffffffffffull, bytes, kind == KIND_STORE};
        } else if (kind == KIND_BLOCK) {
            uint32_t id = (uint32_t)word;
            if (r->mode == REGION_END) continue;
            if (id >= r->n_blocks || !r->blocks[id].count) return k;
            run_block(r);
            r->running = id;
        } else if (kind == KIND_REGION) {
            begin_region(r, (uint32_t)word & 3);
        }
    }
    return count;
}

EXPORT core *replay_core(replay *r) { return r->c; }
EXPORT const uint64_t *replay_counts(const replay *r) { return r->counts; }
