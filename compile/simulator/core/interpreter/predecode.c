/* SPDX-License-Identifier: Apache-2.0 */
/* A program made ready for one of the loops: each micro-op becomes a step that knows the label that executes it, blocks
 * begin with a count, branches lead to steps.
 */
#include <stdlib.h>

#include "interpret.h"

static int is_control(unsigned op)
{
    return op >= OP_BRANCH && op <= OP_JUMP;
}

static unsigned special_alu(const micro_op *u)
{
    int plain = u->modify == MODIFY_LSL, wide = u->size == 8, number = u->b == ZERO_REGISTER;
    int reg = plain && u->shift == 0 && u->imm == 0;
    switch (u->op) {
    case OP_ADD:
        if (number)
            return wide ? OP_ADD64_I : OP_ADD32_I;
        if (reg)
            return wide ? OP_ADD64_R : OP_ADD32_R;
        return plain && wide && u->imm == 0 ? OP_ADD64_S : OP_ADD;
    case OP_SUB: return number ? (wide ? OP_ADD64_I : OP_ADD32_I) : OP_SUB;
    case OP_MOV: return number ? OP_MOV_I : reg ? (wide ? OP_MOV64_R : OP_MOV32_R) : OP_MOV;
    case OP_FLAGS_SUB:
        if (u->size != 4 && !wide)
            return OP_FLAGS_SUB;
        if (number)
            return wide ? OP_FLAGS_SUB64_I : OP_FLAGS_SUB32_I;
        return !reg ? OP_FLAGS_SUB : wide ? OP_FLAGS_SUB64_R : OP_FLAGS_SUB32_R;
    case OP_BRANCH_IF: return u->c == CONDITION_EQ ? OP_BRANCH_EQ : u->c == CONDITION_NE ? OP_BRANCH_NE : OP_BRANCH_IF;
    default: return u->op;
    }
}

static unsigned special_memory(unsigned op, const micro_op *u)
{
    int number = u->b == ZERO_REGISTER, plain = u->modify == MODIFY_LSL && u->shift == 0 && u->imm == 0;
    switch (op) {
    case OP_LOAD: return !number ? op : u->size == 8 ? OP_LOAD8_I : u->size == 4 ? OP_LOAD4_I : op;
    case OP_STORE: return number && u->size == 8 ? OP_STORE8_I : op;
    case OP_TOUCH_LOAD: return number ? OP_TOUCH_LOAD_I : plain ? OP_TOUCH_LOAD_R : op;
    case OP_TOUCH_STORE: return number ? OP_TOUCH_STORE_I : op;
    default: return op;
    }
}

static unsigned without_data(unsigned op)
{
    switch (op) {
    case OP_V_LOAD: case OP_V_LOAD_LANE: case OP_V_LOAD_DUP: return OP_TOUCH_LOAD;
    case OP_V_STORE: case OP_V_STORE_LANE: return OP_TOUCH_STORE;
    default: return op;
    }
}

/* The step for a micro-op; 0 when it may be left out. */
static int encode(const machine *m, const insn *i, const micro_op *u, const void *const *labels, step *s, enum mode mode)
{
    unsigned op = u->op, plain_memory = op >= OP_LOAD && op <= OP_PREFETCH;
    if (op == OP_NOP || (op == OP_V_UNKNOWN && !(i->options & OPTION_TRACK)))
        return 0;
    *s = (step){.go = 0, .size = u->size, .dst = u->dst, .a = u->a, .b = u->b, .c = u->c, .shift = u->shift,
                .modify = u->modify, .spare = u->op, .imm = u->imm};
    if (i->options & OPTION_TOUCH_ONLY) {
        if (op >= OP_V_MOVE && op <= OP_V_UNKNOWN && op != OP_V_GET && op != OP_V_GET_S)
            return 0;
        op = without_data(op);
        plain_memory |= op != u->op;
    }
    if (mode == COUNTED && !m->is_zeros && (op == OP_TOUCH_LOAD || op == OP_TOUCH_STORE || op == OP_PREFETCH))
        return 0;
    op = plain_memory ? special_memory(op, u) : op == u->op ? special_alu(u) : op;
    if (op == OP_ADD64_I || op == OP_ADD32_I)
        s->imm = u->op == OP_SUB ? -u->imm : u->imm;
    if (op == OP_MOV_I && u->size == 4)
        s->imm = (int64_t)(uint32_t)u->imm;
    if (op == OP_FLAGS_SUB32_I)
        s->imm = (int64_t)((uint64_t)u->imm << 32);
    s->go = labels[op];
    return 1;
}

static uint32_t insn_at(const machine *m, uint64_t address)
{
    uint32_t low = 0, high = m->insns;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (m->program[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->insns && m->program[low].address == address ? low : UINT32_MAX;
}

/* Which instructions begin a block, once for all loops; 0 where there is no memory for it. */
static int mark_leaders(machine *m, const micro_op *ops)
{
    if (m->leader)
        return 1;
    uint8_t *leader = m->leader = calloc(m->insns + 1, 1);
    if (!leader)
        return 0;
    leader[0] = 1;
    for (uint32_t k = 0; k < m->insns; k++) {
        const insn *i = &m->program[k];
        const micro_op *last = i->count ? &ops[i->first + i->count - 1] : 0;
        if (last == 0 && k + 1 < m->insns)
            leader[k + 1] = 1; /* after padding: a function that is only called through a pointer */
        if (last == 0 || !is_control(last->op))
            continue;
        if (k + 1 < m->insns)
            leader[k + 1] = 1;
        uint32_t to = last->op == OP_JUMP ? UINT32_MAX : insn_at(m, (uint64_t)last->imm);
        if (to != UINT32_MAX)
            leader[to] = 1;
    }
    return 1;
}

/* Instructions of the block that begins at `k`. */
static uint32_t block_length(const machine *m, uint32_t k)
{
    uint32_t length = 0;
    do
        length += !(m->program[k++].flags & INSN_CONTINUES);
    while (k < m->insns && !m->leader[k]);
    return length;
}

/* Steps of one instruction from `n` on. Micro-ops of control come last, after its RETIRE. */
static uint32_t lay_out(const machine *m, const micro_op *ops, const void *const *labels, uint32_t k, step *steps,
                        uint32_t n, enum mode mode)
{
    const insn *i = &m->program[k];
    const step retire = {.go = labels[OP_RETIRE], .imm = (int64_t)(intptr_t)i};
    int retired = mode != TIMED;
    for (uint32_t o = i->first; o < i->first + i->count; o++) {
        if (is_control(ops[o].op) && !retired) {
            steps[n++] = retire;
            retired = 1;
        }
        n += (uint32_t)encode(m, i, &ops[o], labels, &steps[n], mode);
    }
    if (!retired)
        steps[n++] = retire;
    return n;
}

/* Branch targets, from addresses to steps. */
static void link_branches(const machine *m, const code *to, const void *const *labels)
{
    for (uint32_t k = 0; k < to->n_steps; k++) {
        step *s = &to->steps[k];
        int branch = s->go == labels[OP_BRANCH_EQ] || s->go == labels[OP_BRANCH_NE];
        for (unsigned op = OP_BRANCH; op <= OP_BRANCH_BIT; op++)
            branch |= s->go == labels[op];
        if (!branch)
            continue;
        uint32_t target = insn_at(m, (uint64_t)s->imm);
        if (target != UINT32_MAX) {
            s->imm = (int64_t)(intptr_t)&to->steps[to->first[target]];
        } else if (s->go == labels[OP_BRANCH] && s->imm != 0) { /* an import */
            s->go = labels[OP_JUMP_TO];
        } else if (s->go == labels[OP_BRANCH]) { /* what no decoder knows: an error only if it is run */
            s->go = labels[OP_MISSING];
        } else {
            s->imm = (int64_t)(intptr_t)&to->steps[to->n_steps - 1];
        }
    }
}

static enum outcome predecode(machine *m, const micro_op *ops, uint32_t n_ops, enum mode mode)
{
    const void *const *labels = loops[mode](0, 0);
    code *to = &m->codes[mode];
    to->steps = malloc((n_ops + 2 * (size_t)m->insns + 2) * sizeof *to->steps);
    to->first = malloc((m->insns + 1) * sizeof *to->first);
    to->step_of = calloc(m->at.text_bytes + 1, sizeof *to->step_of);
    to->counts = mode >= COUNTED ? m->codes[TOUCHED].counts : calloc(m->insns + 1, sizeof *to->counts);
    if (!mark_leaders(m, ops) || !to->steps || !to->first || !to->step_of || !to->counts)
        return OUT_OF_MEMORY;
    uint32_t n = 0;
    for (uint32_t k = 0; k < m->insns; k++) {
        uint32_t *known = &to->step_of[m->program[k].address - m->at.text];
        to->first[k] = n;
        if (*known == 0)
            *known = n + 1;
        if (m->leader[k])
            to->steps[n++] = (step){.go = labels[OP_COUNT], .instructions = block_length(m, k),
                                    .imm = (int64_t)(intptr_t)&to->counts[k]};
        n = lay_out(m, ops, labels, k, to->steps, n, mode);
    }
    to->steps[n++] = (step){.go = labels[OP_MISSING]};
    to->n_steps = n;
    link_branches(m, to, labels);
    return RAN;
}
