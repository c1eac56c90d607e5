/* SPDX-License-Identifier: Apache-2.0 */
/* Executes the integer slice of a program: control flow and addresses are exact, floating point is not computed.
 *
 * Takes a program (instructions and micro-ops, from the decoders), a memory image and a layout; drives a core
 * with every instruction, or only its memory system with every access. Calls of TVM's runtime are answered here.
 */
#include <stdlib.h>
#include <string.h>

#include "interpret.h"

/* insn.spare[0], set by program.py: what a pass over the code found that the interpreter may leave out. */
enum { OPTION_TRACK = 1, OPTION_TOUCH_ONLY = 2 };

static inline uint64_t load(const uint8_t *from, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, from, size);
    return value;
}

static inline uint64_t ones(unsigned bits)
{
    return bits >= 64 ? ~0ull : (1ull << bits) - 1;
}

static inline int64_t sign_from(uint64_t value, unsigned bits)
{
    return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

static inline int64_t sign_extended(uint64_t value, unsigned size)
{
    return sign_from(value, 8 * size);
}

static inline uint64_t rotated(uint64_t value, uint64_t by, unsigned size)
{
    unsigned bits = 8 * size, count = (unsigned)by & (bits - 1);
    value &= ones(bits);
    return count == 0 ? value : (value >> count | value << (bits - count)) & ones(bits);
}

static inline uint64_t extracted(uint64_t high, uint64_t low, unsigned shift, unsigned size)
{
    unsigned bits = 8 * size;
    low &= ones(bits);
    return shift == 0 ? low : low >> shift | high << (bits - shift);
}

static inline uint64_t leading_zeros(uint64_t value, unsigned size)
{
    value &= ones(8 * size);
    return value == 0 ? 8 * size : (uint64_t)__builtin_clzll(value) - (64 - 8 * size);
}

static inline uint64_t trailing_zeros(uint64_t value, unsigned size)
{
    value &= ones(8 * size);
    return value == 0 ? 8 * size : (uint64_t)__builtin_ctzll(value);
}

static uint64_t multiply_high(uint64_t a, uint64_t b, unsigned size, int is_signed)
{
    if (is_signed)
        return (uint64_t)((__int128)sign_extended(a, size) * sign_extended(b, size) >> (8 * size));
    return (uint64_t)((unsigned __int128)(a & ones(8 * size)) * (b & ones(8 * size)) >> (8 * size));
}

static uint64_t divide(uint64_t a, uint64_t b, unsigned size, int is_signed, int rest)
{
    if (!is_signed) {
        a &= ones(8 * size), b &= ones(8 * size);
        return b == 0 ? (rest ? a : 0) : rest ? a % b : a / b;
    }
    int64_t x = sign_extended(a, size), y = sign_extended(b, size);
    if (y == 0)
        return rest ? (uint64_t)x : 0;
    if (y == -1) /* the least number has no opposite */
        return rest ? 0 : 0 - (uint64_t)x;
    return (uint64_t)(rest ? x % y : x / y);
}

static inline uint64_t modified(uint64_t value, const step *s)
{
    switch (s->modify) {
    case MODIFY_LSL: return value << s->shift;
    case MODIFY_UXTB: return (uint64_t)(uint8_t)value << s->shift;
    case MODIFY_UXTH: return (uint64_t)(uint16_t)value << s->shift;
    case MODIFY_UXTW: return (uint64_t)(uint32_t)value << s->shift;
    case MODIFY_SXTB: return (uint64_t)(int64_t)(int8_t)value << s->shift;
    case MODIFY_SXTH: return (uint64_t)(int64_t)(int16_t)value << s->shift;
    case MODIFY_SXTW: return (uint64_t)(int64_t)(int32_t)value << s->shift;
    case MODIFY_LSR: return (value & ones(8 * s->size)) >> s->shift;
    case MODIFY_ASR: return (uint64_t)(sign_extended(value, s->size) >> s->shift);
    default: return rotated(value, s->shift, s->size);
    }
}

static void flags_of_sum(machine *m, uint64_t a, uint64_t b, uint64_t carry, unsigned size)
{
    unsigned bits = 8 * size;
    unsigned __int128 sum = (unsigned __int128)(a & ones(bits)) + (b & ones(bits)) + carry;
    uint64_t result = (uint64_t)sum & ones(bits);
    unsigned n = (unsigned)(result >> (bits - 1)) & 1, z = result == 0, c = (unsigned)(sum >> bits) & 1;
    unsigned v = (unsigned)((~(a ^ b) & (a ^ result)) >> (bits - 1)) & 1;
    m->nzcv = n << 3 | z << 2 | c << 1 | v;
    m->flag_kind = FLAGS_EXPLICIT;
}

static uint64_t holds_explicitly(const machine *m, unsigned condition)
{
    unsigned n = m->nzcv >> 3 & 1, z = m->nzcv >> 2 & 1, c = m->nzcv >> 1 & 1, v = m->nzcv & 1;
    unsigned tests[] = {z, c, n, v, c && !z, n == v, n == v && !z, 1};
    return condition == 14 ? 1 : tests[condition >> 1] ^ (condition & 1);
}

static inline uint64_t holds(const machine *m, unsigned condition)
{
    uint64_t a = m->flag_a, b = m->flag_b;
    if (UNLIKELY(m->flag_kind != FLAGS_OF_SUB))
        return holds_explicitly(m, condition);
    switch (condition) {
    case 0: return a == b;
    case 1: return a != b;
    case 2: return a >= b;
    case 3: return a < b;
    case 4: return (int64_t)(a - b) < 0;
    case 5: return (int64_t)(a - b) >= 0;
    case 6: return ((a ^ b) & (a ^ (a - b))) >> 63;
    case 7: return !(((a ^ b) & (a ^ (a - b))) >> 63);
    case 8: return a > b;
    case 9: return a <= b;
    case 10: return (int64_t)a >= (int64_t)b;
    case 11: return (int64_t)a < (int64_t)b;
    case 12: return (int64_t)a > (int64_t)b;
    case 13: return (int64_t)a <= (int64_t)b;
    default: return 1;
    }
}

/* N Z V stay; those that are not known count as 0. */
static void flags_with_carry(machine *m, uint64_t carry)
{
    unsigned n = 0, z = 0, v = 0;
    if (m->flag_kind != FLAGS_NOT_KNOWN)
        n = (unsigned)holds(m, 4), z = (unsigned)holds(m, 0), v = (unsigned)holds(m, 6);
    m->nzcv = n << 3 | z << 2 | (unsigned)carry << 1 | v;
    m->flag_kind = FLAGS_EXPLICIT;
}

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

static void fill(uint8_t *vector, uint64_t lane, unsigned size, unsigned width)
{
    memset(vector, 0, VECTOR_BYTES);
    for (unsigned at = 0; at + size <= width; at += size)
        memcpy(vector + at, &lane, size);
}

static uint64_t lane_result(unsigned op, uint64_t a, uint64_t b, const step *s)
{
    unsigned bits = 8 * s->size;
    uint64_t by = (uint64_t)s->imm;
    switch (op) {
    case OP_V_ADD: return a + b;
    case OP_V_SUB: return a - b;
    case OP_V_MUL: return a * b;
    case OP_V_AND: return a & b;
    case OP_V_OR: return a | b;
    case OP_V_XOR: return a ^ b;
    case OP_V_BIC: return a & ~b;
    case OP_V_SHL: return by >= bits ? 0 : a << by;
    case OP_V_SHR: return by >= bits ? 0 : a >> by;
    default: return (uint64_t)(sign_from(a, bits) >> (by >= bits ? bits - 1 : by));
    }
}

/* s->spare is the micro-op. */
static void vector_integer(machine *m, const step *s)
{
    uint8_t result[VECTOR_BYTES] = {0};
    unsigned op = s->spare, size = s->size, widen = op == OP_V_WIDEN_U || op == OP_V_WIDEN_S;
    for (unsigned at = 0; at + size <= s->c; at += size) {
        uint64_t lane;
        if (widen) {
            unsigned half = size / 2;
            lane = load(m->v[s->a] + half * s->shift + at / 2, half);
            if (op == OP_V_WIDEN_S)
                lane = (uint64_t)sign_extended(lane, half);
        } else {
            lane = lane_result(op, load(m->v[s->a] + at, size), load(m->v[s->b] + at, size), s);
        }
        memcpy(result + at, &lane, size);
    }
    int shift = widen || op == OP_V_SHL || op == OP_V_SHR || op == OP_V_SAR;
    m->v_unknown[s->dst] = m->v_unknown[s->a] | (shift ? 0 : m->v_unknown[s->b]);
    memcpy(m->v[s->dst], result, VECTOR_BYTES);
}

/* ---- Calls of the runtime ---- */

static uint8_t *host(machine *m, uint64_t address, uint64_t bytes)
{
    uint64_t offset = address - m->at.base;
    if (offset > m->at.bytes || bytes > m->at.bytes - offset) {
        m->error_address = address;
        return 0;
    }
    return m->memory + offset;
}

static enum outcome write_word(machine *m, uint64_t address, uint64_t value)
{
    uint8_t *to = host(m, address, m->at.pointer_bytes);
    if (to == 0)
        return FAULT;
    memcpy(to, &value, m->at.pointer_bytes);
    return RAN;
}

/* The runtime function that was called returns `value`. */
static enum outcome return_value(machine *m, uint64_t value, uint64_t *target)
{
    m->r[m->at.result_register] = value;
    if (m->at.link_register >= 0) {
        *target = m->r[m->at.link_register];
        return RAN;
    }
    uint64_t *stack = &m->r[m->at.stack_register];
    const uint8_t *from = host(m, *stack, m->at.pointer_bytes);
    if (from == 0)
        return FAULT;
    *target = load(from, m->at.pointer_bytes);
    *stack += m->at.pointer_bytes;
    return RAN;
}

static enum outcome begin_section(machine *m, uint64_t *target)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint64_t lambda = m->r[arguments[0]], data = m->r[arguments[1]];
    uint32_t asked = (uint32_t)m->r[arguments[2]], tasks = asked ? asked : m->at.threads;
    if (m->sections == MAX_SECTIONS)
        return NESTED;
    uint8_t *environment = host(m, m->at.environment, 16);
    if (environment == 0)
        return FAULT;
    memset(environment, 0, 16);
    memcpy(environment + m->at.pointer_bytes, &tasks, sizeof tasks);
    uint64_t back = m->at.magic + IMPORT_BYTES * IMPORT_SECTION_RETURN, *stack = &m->r[m->at.stack_register];
    m->section_stack[m->sections] = *stack;
    if (m->at.link_register >= 0) {
        m->section_return[m->sections] = m->r[m->at.link_register];
        m->r[m->at.link_register] = back;
    } else {
        *stack -= 2 * m->at.pointer_bytes; /* keeps the alignment that a call leaves */
        if (write_word(m, *stack, back) != RAN)
            return FAULT;
    }
    m->sections++;
    m->r[arguments[0]] = 0;
    m->r[arguments[1]] = m->at.environment;
    m->r[arguments[2]] = data;
    if (tasks > 1)
        core_parallel(m->c, (int)tasks);
    *target = lambda;
    return RAN;
}

static enum outcome end_section(machine *m, uint64_t *target)
{
    if (m->sections == 0 || (uint32_t)m->r[m->at.result_register] != 0)
        return KERNEL_FAILED;
    m->sections--;
    core_parallel(m->c, 1);
    m->r[m->at.stack_register] = m->section_stack[m->sections];
    if (m->at.link_register < 0)
        return return_value(m, 0, target);
    *target = m->section_return[m->sections];
    return RAN;
}

/* As TVM's workspace pool: whole pages, the smallest free block that is large enough is used again. */
static enum outcome allocate(machine *m, uint64_t bytes, uint64_t *address)
{
    bytes = (bytes + 4095) & ~4095ull;
    workspace *best = 0;
    for (uint32_t i = 0; i < m->n_workspaces; i++) {
        workspace *one = &m->workspaces[i];
        if (!one->used && one->bytes >= bytes && (best == 0 || one->bytes < best->bytes))
            best = one;
    }
    if (best == 0) {
        if (m->n_workspaces == MAX_WORKSPACES || bytes + 4096 > m->at.heap_bytes - m->heap_used)
            return OUT_OF_MEMORY;
        best = &m->workspaces[m->n_workspaces++];
        *best = (workspace){m->at.heap + m->heap_used + 64, bytes, 0};
        m->heap_used += bytes + 4096;
    }
    best->used = 1;
    *address = best->address;
    return RAN;
}

static void release(machine *m, uint64_t address)
{
    for (uint32_t i = 0; i < m->n_workspaces; i++)
        if (m->workspaces[i].address == address)
            m->workspaces[i].used = 0;
}

static enum outcome move_memory(machine *m, int copy, int timed)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint64_t to = m->r[arguments[0]], from = m->r[arguments[1]], bytes = m->r[arguments[2]];
    uint8_t *target = host(m, to, bytes), *source = copy ? host(m, from, bytes) : target;
    if (target == 0 || source == 0)
        return FAULT;
    if (copy)
        memmove(target, source, bytes);
    else
        memset(target, (int)from, bytes);
    if (timed) {
        core_stream(m->c, to, copy ? from : 0, bytes);
        return RAN;
    }
    for (uint64_t at = 0; at < bytes; at += 64) {
        uint32_t part = bytes - at < 64 ? (uint32_t)(bytes - at) : 64;
        access both[] = {{to + at, part, 1}, {from + at, part, 0}};
        core_touch(m->c, both, copy ? 2 : 1);
    }
    return RAN;
}

/* A jump out of the program: *target becomes where to go on, 0 when the kernel has returned. */
static enum outcome runtime_call(machine *m, uint64_t *target, int timed)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint64_t offset = *target - m->at.magic, value = 0;
    enum outcome outcome = RAN;
    m->error_address = *target;
    if (offset % IMPORT_BYTES != 0 || offset / IMPORT_BYTES >= IMPORTS)
        return NO_SUCH_CODE;
    switch ((enum import)(offset / IMPORT_BYTES)) {
    case IMPORT_RETURN:
        *target = 0;
        return (uint32_t)m->r[m->at.result_register] == 0 ? RAN : KERNEL_FAILED;
    case IMPORT_SECTION_RETURN: return end_section(m, target);
    case IMPORT_LAUNCH: return begin_section(m, target);
    case IMPORT_ERROR:
        m->error_address = m->r[arguments[0]];
        return KERNEL_FAILED;
    case IMPORT_ALLOC: {
        uint64_t bytes = m->r[arguments[2]];
        outcome = allocate(m, m->at.pointer_bytes == 4 ? (uint32_t)bytes : bytes, &value);
        break;
    }
    case IMPORT_FREE: release(m, m->r[arguments[2]]); break;
    case IMPORT_MEMSET:
    case IMPORT_MEMCPY:
        value = m->r[arguments[0]];
        outcome = move_memory(m, offset / IMPORT_BYTES == IMPORT_MEMCPY, timed);
        break;
    case IMPORT_DIVIDE_S:
    case IMPORT_DIVIDE_U: {
        uint64_t a = m->r[arguments[0]], b = m->r[arguments[1]];
        int is_signed = offset / IMPORT_BYTES == IMPORT_DIVIDE_S;
        value = (uint32_t)divide(a, b, 4, is_signed, 0);
        m->r[arguments[1]] = (uint32_t)divide(a, b, 4, is_signed, 1);
        break;
    }
    default: break; /* barrier, libm: other tasks are not run, values are not computed */
    }
    return outcome == RAN ? return_value(m, value, target) : outcome;
}

static uint64_t address_of_step(const machine *m, const step *s)
{
    uint32_t index = (uint32_t)(s - m->steps) + 1;
    uint64_t found = m->at.text;
    uint32_t nearest = 0;
    for (uint64_t offset = 0; offset < m->at.text_bytes; offset++)
        if (m->step_of[offset] > nearest && m->step_of[offset] <= index)
            nearest = m->step_of[offset], found = m->at.text + offset;
    return found;
}

#define LOOP run_timed
#define TIMED 1
#include "interpret_loop.h"

#define LOOP run_untimed
#define TIMED 0
#include "interpret_loop.h"

/* ---- Loading ---- */

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
    case OP_BRANCH_IF: return u->c == 0 ? OP_BRANCH_EQ : u->c == 1 ? OP_BRANCH_NE : OP_BRANCH_IF;
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
static int encode(const machine *m, const insn *i, const micro_op *u, const void *const *labels, step *s)
{
    unsigned op = u->op, plain_memory = op >= OP_LOAD && op <= OP_PREFETCH;
    if (op == OP_NOP || (op == OP_V_UNKNOWN && !(i->spare[0] & OPTION_TRACK)))
        return 0;
    *s = (step){0, u->size, u->dst, u->a, u->b, u->c, u->shift, u->modify, u->op, u->imm};
    if (i->spare[0] & OPTION_TOUCH_ONLY) {
        if (op >= OP_V_MOVE && op <= OP_V_UNKNOWN && op != OP_V_GET && op != OP_V_GET_S)
            return 0;
        op = without_data(op);
        plain_memory |= op != u->op;
    }
    op = plain_memory ? special_memory(op, u) : op == u->op ? special_alu(u) : op;
    if (op == OP_ADD64_I || op == OP_ADD32_I)
        s->imm = u->op == OP_SUB ? -u->imm : u->imm;
    if (op == OP_MOV_I && u->size == 4)
        s->imm = (int64_t)(uint32_t)u->imm;
    if (op == OP_FLAGS_SUB32_I)
        s->imm = (int64_t)((uint64_t)u->imm << 32);
    (void)m;
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

static void mark_leaders(const machine *m, const micro_op *ops, uint8_t *leader)
{
    for (uint32_t k = 0; k < m->insns; k++) {
        const insn *i = &m->program[k];
        const micro_op *last = i->count ? &ops[i->first + i->count - 1] : 0;
        if (last == 0 || !is_control(last->op))
            continue;
        if (k + 1 < m->insns)
            leader[k + 1] = 1;
        uint32_t to = last->op == OP_JUMP ? UINT32_MAX : insn_at(m, (uint64_t)last->imm);
        if (to != UINT32_MAX)
            leader[to] = 1;
    }
}

/* Lays out steps; branch targets are patched after, from instruction to step. Micro-ops of control come last,
 * after the RETIRE of their instruction. */
static int predecode(machine *m, const micro_op *ops, uint32_t n_ops, int timed)
{
    const void *const *labels = timed ? run_timed(0, 0) : run_untimed(0, 0);
    uint32_t most = n_ops + 2 * m->insns + 2, n = 0;
    uint8_t *leader = calloc(m->insns + 1, 1);
    uint32_t *first = malloc((m->insns + 1) * sizeof *first);
    free(m->steps);
    m->steps = malloc(most * sizeof *m->steps);
    if (leader == 0 || first == 0 || m->steps == 0) {
        free(leader), free(first);
        return OUT_OF_MEMORY;
    }
    leader[0] = 1;
    mark_leaders(m, ops, leader);
    memset(m->step_of, 0, (m->at.text_bytes + 1) * sizeof *m->step_of);
    for (uint32_t k = 0; k < m->insns; k++) {
        const insn *i = &m->program[k];
        int retired = !timed;
        first[k] = n;
        if (m->step_of[i->address - m->at.text] == 0)
            m->step_of[i->address - m->at.text] = n + 1;
        if (leader[k])
            m->steps[n++] = (step){.go = labels[OP_COUNT], .imm = (int64_t)(intptr_t)&m->block_counts[k]};
        for (uint32_t o = i->first; o < i->first + i->count; o++) {
            if (is_control(ops[o].op) && !retired) {
                m->steps[n++] = (step){.go = labels[OP_RETIRE], .imm = (int64_t)(intptr_t)i};
                retired = 1;
            }
            n += (uint32_t)encode(m, i, &ops[o], labels, &m->steps[n]);
        }
        if (!retired)
            m->steps[n++] = (step){.go = labels[OP_RETIRE], .imm = (int64_t)(intptr_t)i};
    }
    m->steps[n++] = (step){.go = labels[OP_MISSING]};
    m->n_steps = n;
    for (uint32_t k = 0; k < n; k++) {
        step *s = &m->steps[k];
        int branch = 0;
        for (unsigned op = OP_BRANCH; op <= OP_BRANCH_BIT; op++)
            branch |= s->go == labels[op];
        if (!branch && s->go != labels[OP_BRANCH_EQ] && s->go != labels[OP_BRANCH_NE])
            continue;
        uint32_t to = insn_at(m, (uint64_t)s->imm);
        if (to != UINT32_MAX) {
            s->imm = (int64_t)(intptr_t)&m->steps[first[to]];
        } else if (s->go == labels[OP_BRANCH] && s->imm != 0) { /* an import */
            s->go = labels[OP_JUMP_TO];
        } else if (s->go == labels[OP_BRANCH]) { /* what no decoder knows: an error only if it is run */
            s->go = labels[OP_MISSING];
        } else {
            s->imm = (int64_t)(intptr_t)&m->steps[n - 1];
        }
    }
    free(leader), free(first);
    return RAN;
}

/* ---- What native.py calls ---- */

EXPORT machine *machine_create(const layout *at, uint8_t *memory, const insn *program, uint32_t insns)
{
    machine *m = calloc(1, sizeof *m);
    if (m == 0)
        return 0;
    m->at = *at;
    m->memory = memory;
    m->limit = at->bytes;
    m->program = program;
    m->insns = insns;
    m->step_of = calloc(at->text_bytes + 1, sizeof *m->step_of);
    m->block_counts = calloc(insns + 1, sizeof *m->block_counts);
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
    free(m->steps), free(m->step_of), free(m->block_counts), free(m->is_zeros), free(m);
}

/* Calls the kernel: with `timed` every instruction goes through core_step, else every access through core_touch. */
EXPORT int machine_run(machine *m, core *c, const micro_op *ops, uint32_t n_ops, int timed)
{
    enum outcome outcome = predecode(m, ops, n_ops, timed);
    if (outcome != RAN)
        return outcome;
    memset(m->r, 0, sizeof m->r), memset(m->v, 0, sizeof m->v), memset(m->v_unknown, 0, sizeof m->v_unknown);
    memset(m->block_counts, 0, (m->insns + 1) * sizeof *m->block_counts);
    m->flag_kind = FLAGS_OF_SUB, m->flag_a = m->flag_b = 0;
    m->sections = 0, m->blocks = 0, m->error_at = m->error_address = 0;
    m->c = c;
    for (uint32_t i = 0; i < m->n_workspaces; i++)
        m->workspaces[i].used = 0;
    for (int i = 0; i < MAX_ARGUMENTS; i++)
        if (m->at.argument_registers[i] != SINK_REGISTER)
            m->r[m->at.argument_registers[i]] = m->at.arguments[i];
    m->r[m->at.stack_register] = m->at.stack;
    uint64_t back = m->at.magic + IMPORT_BYTES * IMPORT_RETURN;
    if (m->at.link_register >= 0)
        m->r[m->at.link_register] = back;
    else if (write_word(m, m->r[m->at.stack_register] -= m->at.pointer_bytes, back) != RAN)
        return FAULT;
    if (timed)
        run_timed(m, &outcome);
    else
        run_untimed(m, &outcome);
    return outcome;
}

/* What stopped it: the address that was jumped to or accessed (or of the kernel's message), the instruction. */
EXPORT void machine_error(const machine *m, uint64_t *address, uint64_t *at)
{
    *address = m->error_address;
    *at = m->error_at;
}

/* How often each block ran, at the index of the instruction it begins with; of timed runs. */
EXPORT const uint64_t *machine_counts(const machine *m)
{
    return m->block_counts;
}
