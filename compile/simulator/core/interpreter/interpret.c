/* SPDX-License-Identifier: Apache-2.0 */
/* Executes the integer slice of a program: control flow and addresses are exact, floating point is not computed.
 *
 * Takes a program (instructions and micro-ops, from the decoders), a memory image and a layout; drives a core
 * with every instruction, or only its memory system with every access. Calls of TVM's runtime are answered here.
 */
#include <stdlib.h>
#include <string.h>

#include "interpret.h"

#include "integers.c"
#include "vectors.c"
#include "runtime.c"

/* Where the caches see an access. The kernel of the system maps pages that were never written to one page of
 * zeros; a page that the program writes becomes its own. */
static uint64_t placed(machine *m, uint64_t address, int store)
{
    uint64_t page = (address - m->at.base) >> PAGE_SHIFT;
    if (page >= m->at.bytes >> PAGE_SHIFT || !m->is_zeros[page])
        return address;
    if (!store)
        return m->at.zeros + (address & ((1u << PAGE_SHIFT) - 1));
    m->is_zeros[page] = 0;
    return address;
}

static uint64_t address_of_step(const machine *m, const step *s)
{
    const uint32_t *step_of = m->running->step_of;
    uint32_t index = (uint32_t)(s - m->running->steps) + 1;
    uint64_t found = m->at.text;
    uint32_t nearest = 0;
    for (uint64_t offset = 0; offset < m->at.text_bytes; offset++)
        if (step_of[offset] > nearest && step_of[offset] <= index)
            nearest = step_of[offset], found = m->at.text + offset;
    return found;
}

#define LOOP run_touched
#define MODE TOUCHED
#include "loop.h"

#define LOOP run_timed
#define MODE TIMED
#include "loop.h"

#define LOOP run_counted
#define MODE COUNTED
#include "loop.h"

#define LOOP run_marked
#define MODE MARKED
#include "loop.h"

typedef const void *const *loop(machine *, enum outcome *);
static loop *const loops[MODES] = {run_touched, run_timed, run_counted, run_marked};

#include "predecode.c"

EXPORT machine *machine_create(const machine_layout *at, uint8_t *memory, const insn *program, uint32_t insns)
{
    machine *m = calloc(1, sizeof *m);
    if (m == 0)
        return 0;
    m->at = *at;
    m->memory = memory;
    m->limit = at->bytes;
    m->program = program;
    m->insns = insns;
    if (at->n_unwritten)
        m->is_zeros = calloc((at->bytes >> PAGE_SHIFT) + 1, 1);
    for (uint32_t i = 0; i < at->n_unwritten; i++)
        for (uint64_t page = at->unwritten[i][0]; page < at->unwritten[i][1]; page += 1u << PAGE_SHIFT)
            m->is_zeros[(page - at->base) >> PAGE_SHIFT] = 1;
    return m;
}

/* A loop over memory that leaves the caches as reading or writing it would, on core `c`. */
EXPORT void machine_sweep(core *c, uint64_t address, uint64_t bytes, int store)
{
    for (uint64_t at = 0; at < bytes; at += 64) {
        access one = {address + at, bytes - at < 64 ? (uint32_t)(bytes - at) : 64, (uint32_t)store};
        core_touch(c, &one, 1);
    }
}

EXPORT void machine_destroy(machine *m)
{
    for (int k = 0; k < MODES; k++) {
        code *one = &m->codes[k];
        free(one->steps), free(one->first), free(one->step_of);
        if (k < COUNTED)
            free(one->counts);
    }
    free(m->leader), free(m->is_zeros), free(m);
}

/* Everything as a caller of the kernel leaves it. */
static enum outcome begin_call(machine *m)
{
    memset(m->r, 0, sizeof m->r), memset(m->v, 0, sizeof m->v), memset(m->v_unknown, 0, sizeof m->v_unknown);
    m->flag_kind = FLAGS_OF_SUB, m->flag_a = m->flag_b = 0;
    m->sections = 0, m->error_at = m->error_address = 0, m->paused = 0;
    m->go_on = NOWHERE, m->target = m->at.entry;
    m->streamed[0] = m->streamed[1] = 0, m->stream_cycles = 0;
    for (int k = 0; k < COUNTED; k++)
        if (m->codes[k].counts)
            memset(m->codes[k].counts, 0, (m->insns + 1) * sizeof *m->codes[k].counts);
    for (uint32_t i = 0; i < m->n_workspaces; i++)
        m->workspaces[i].used = 0;
    for (int i = 0; i < MAX_ARGUMENTS; i++)
        if (m->at.argument_registers[i] != SINK_REGISTER)
            m->r[m->at.argument_registers[i]] = m->at.arguments[i];
    m->r[m->at.stack_register] = m->at.stack;
    uint64_t back = m->at.magic + IMPORT_BYTES * IMPORT_RETURN;
    if (m->at.link_register >= 0)
        m->r[m->at.link_register] = back;
    else
        return write_word(m, m->r[m->at.stack_register] -= m->at.pointer_bytes, back);
    return RAN;
}

/* Runs until the kernel returns, fails, or `instructions` are spent. */
static enum outcome run_for(machine *m, enum mode mode, int64_t instructions)
{
    enum outcome outcome;
    m->budget = instructions;
    m->running = &m->codes[mode];
    do
        loops[m->running - m->codes](m, &outcome);
    while (outcome == OTHER_LOOP);
    return outcome;
}

/* Stretches of `window` instructions are timed, with gaps of `gap` between on average. Their lengths vary, in a
 * fixed order, so as not to keep step with a loop. */
static enum outcome run_sampled(machine *m, int64_t window, int64_t gap)
{
    uint32_t chance = 1;
    paused stored;
    int64_t spent = 0, most = (int64_t)m->at.max_instructions;
    enum outcome outcome = run_for(m, TIMED, window);
    while (outcome == BUDGET_SPENT && spent < most) {
        chance = chance * 1664525u + 1013904223u;
        int64_t skip = gap / 2 + (int64_t)((uint64_t)gap * (chance >> 8) >> 24);
        core_pause(m->c, &stored);
        m->paused = 1;
        outcome = run_for(m, TOUCHED, skip);
        m->paused = 0;
        core_resume(m->c, &stored);
        spent += skip + window;
        if (outcome == BUDGET_SPENT)
            outcome = run_for(m, TIMED, window);
    }
    return outcome;
}

/* Calls the kernel, and does with its instructions as `mode` says; TIMED with a `gap`, only a part of them is timed,
 * the rest is TOUCHED. */
EXPORT int machine_run(machine *m, core *c, const micro_op *ops, uint32_t n_ops, int mode, int64_t window, int64_t gap)
{
    enum outcome outcome = RAN;
    for (int k = 0; k < MODES && outcome == RAN; k++)
        if (m->codes[k].steps == 0 && (mode == TIMED ? k == TIMED || (k == TOUCHED && gap) : k != TIMED))
            outcome = predecode(m, ops, n_ops, (enum mode)k);
    m->c = c, m->mode = (enum mode)mode, m->probing = 0;
    if (outcome == RAN)
        outcome = begin_call(m);
    if (outcome == RAN)
        outcome = gap ? run_sampled(m, window, gap) : run_for(m, (enum mode)mode, (int64_t)m->at.max_instructions);
    return outcome == BUDGET_SPENT ? TOO_LONG : outcome;
}

/* What stopped it: the address that was jumped to or accessed (or of the kernel's message), the instruction. */
EXPORT void machine_error(const machine *m, uint64_t *address, uint64_t *at)
{
    *address = m->error_address;
    *at = m->error_at;
}

/* How often each instruction ran, untimed or TIMED, in the last call: as often as the block it is in. */
EXPORT void machine_counts(const machine *m, int timed, uint64_t *counts)
{
    const uint64_t *blocks = m->codes[timed].counts;
    uint64_t ran = 0;
    for (uint32_t k = 0; k < m->insns; k++) {
        if (m->leader && m->leader[k])
            ran = blocks ? blocks[k] : 0;
        counts[k] = ran;
    }
}

/* Of memset and memcpy in the last call: bytes untimed, bytes timed, cycles of the timed ones. */
EXPORT void machine_streams(const machine *m, double *three)
{
    three[0] = (double)m->streamed[0], three[1] = (double)m->streamed[1], three[2] = m->stream_cycles;
}
