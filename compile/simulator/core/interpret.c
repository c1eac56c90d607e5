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
    case OP_V_EQUAL: return a == b ? ~0ull : 0;
    case OP_V_GREATER_S: return sign_extended(a, s->size) > sign_extended(b, s->size) ? ~0ull : 0;
    case OP_V_GREATER_U: return a > b ? ~0ull : 0;
    case OP_V_NOT_LESS_S: return sign_extended(a, s->size) >= sign_extended(b, s->size) ? ~0ull : 0;
    case OP_V_NOT_LESS_U: return a >= b ? ~0ull : 0;
    case OP_V_MAX_U: return a > b ? a : b;
    case OP_V_MIN_U: return a < b ? a : b;
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
        if (op == OP_V_NARROW) {
            lane = load(m->v[s->a] + 2 * at, size);
        } else if (widen) {
            unsigned half = size / 2;
            lane = load(m->v[s->a] + half * s->shift + at / 2, half);
            if (op == OP_V_WIDEN_S)
                lane = (uint64_t)sign_extended(lane, half);
        } else {
            lane = lane_result(op, load(m->v[s->a] + at, size), load(m->v[s->b] + at, size), s);
        }
        memcpy(result + at, &lane, size);
    }
    int shift = widen || op == OP_V_NARROW || op == OP_V_SHL || op == OP_V_SHR || op == OP_V_SAR;
    m->v_unknown[s->dst] = m->v_unknown[s->a] | (shift ? 0 : m->v_unknown[s->b]);
    memcpy(m->v[s->dst], result, VECTOR_BYTES);
}

/* All lanes into one. */
static void vector_across(machine *m, const step *s)
{
    uint64_t sum = load(m->v[s->a], s->size);
    for (unsigned at = s->size; at + s->size <= s->c; at += s->size) {
        uint64_t lane = load(m->v[s->a] + at, s->size);
        if (s->spare == OP_V_ADD_ACROSS)
            sum += lane;
        else if (s->spare == OP_V_MAX_ACROSS ? lane > sum : lane < sum)
            sum = lane;
    }
    m->v_unknown[s->dst] = m->v_unknown[s->a];
    memset(m->v[s->dst], 0, VECTOR_BYTES);
    memcpy(m->v[s->dst], &sum, s->size);
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

/* Goes to task `task` of the innermost section, to come back to IMPORT_SECTION_RETURN. */
static enum outcome begin_task(machine *m, uint64_t task, uint64_t *target)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint64_t back = m->at.magic + IMPORT_BYTES * IMPORT_SECTION_RETURN, *stack = &m->r[m->at.stack_register];
    *stack = m->section_stack[m->sections - 1];
    if (m->at.link_register >= 0) {
        m->r[m->at.link_register] = back;
    } else {
        *stack -= 2 * m->at.pointer_bytes; /* keeps the alignment that a call leaves */
        if (write_word(m, *stack, back) != RAN)
            return FAULT;
    }
    m->r[arguments[0]] = task;
    m->r[arguments[1]] = m->at.environment;
    m->r[arguments[2]] = m->section_data[m->sections - 1];
    m->probing = task > 0;
    m->running = &m->codes[task > 0 ? MARKED : m->mode];
    *target = m->section_code[m->sections - 1];
    return RAN;
}

/* Task 0 has the largest share and is the one that is timed. In a run that is not, task 1 goes first: it tells
 * which lines several cores use. */
static enum outcome begin_section(machine *m, uint64_t *target)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint32_t asked = (uint32_t)m->r[arguments[2]], tasks = asked ? asked : m->at.threads;
    if (m->sections == MAX_SECTIONS)
        return NESTED;
    uint8_t *environment = host(m, m->at.environment, 16);
    if (environment == 0)
        return FAULT;
    memset(environment, 0, 16);
    memcpy(environment + m->at.pointer_bytes, &tasks, sizeof tasks);
    m->section_stack[m->sections] = m->r[m->at.stack_register];
    m->section_code[m->sections] = m->r[arguments[0]];
    m->section_data[m->sections] = m->r[arguments[1]];
    if (m->at.link_register >= 0)
        m->section_return[m->sections] = m->r[m->at.link_register];
    m->sections++;
    if (tasks > 1)
        core_parallel(m->c, (int)tasks);
    return begin_task(m, m->mode != TIMED && tasks > 1 && m->sections == 1, target);
}

static enum outcome end_section(machine *m, uint64_t *target)
{
    if (m->sections == 0 || (uint32_t)m->r[m->at.result_register] != 0)
        return KERNEL_FAILED;
    if (m->probing)
        return begin_task(m, 0, target);
    m->sections--;
    core_parallel(m->c, 1);
    m->r[m->at.stack_register] = m->section_stack[m->sections];
    if (m->at.link_register < 0)
        return return_value(m, 0, target);
    *target = m->section_return[m->sections];
    return RAN;
}

/* As TVM's workspace pool: whole pages, the smallest free block that is large enough is used again. Each thread has
 * a pool of its own. */
static enum outcome allocate(machine *m, uint64_t bytes, uint64_t *address)
{
    bytes = (bytes + 4095) & ~4095ull;
    workspace *best = 0;
    for (uint32_t i = 0; i < m->n_workspaces; i++) {
        workspace *one = &m->workspaces[i];
        if (one->task == m->probing && !one->used && one->bytes >= bytes && (best == 0 || one->bytes < best->bytes))
            best = one;
    }
    if (best == 0) {
        if (m->n_workspaces == MAX_WORKSPACES || bytes + 4096 > m->at.heap_bytes - m->heap_used)
            return OUT_OF_MEMORY;
        best = &m->workspaces[m->n_workspaces++];
        *best = (workspace){m->at.heap + m->heap_used + 64, bytes, 0, m->probing};
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

static enum outcome move_memory(machine *m, int copy, enum mode mode)
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
    m->streamed[mode == TIMED] += bytes;
    if (mode == TIMED) {
        double before = core_stream_cycles(m->c);
        core_stream(m->c, to, copy ? from : 0, bytes);
        m->stream_cycles += core_stream_cycles(m->c) - before;
        return RAN;
    }
    for (uint64_t at = 0; mode != COUNTED && at < bytes; at += 64) {
        uint32_t part = bytes - at < 64 ? (uint32_t)(bytes - at) : 64;
        access both[] = {{to + at, part, 1}, {from + at, part, 0}};
        if (mode == MARKED)
            core_mark(m->c, both, copy ? 2 : 1);
        else
            core_touch(m->c, both, copy ? 2 : 1);
    }
    return RAN;
}

/* A jump out of the program: *target becomes where to go on, 0 when the kernel has returned. */
static enum outcome runtime_call(machine *m, uint64_t *target, enum mode mode)
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
        if (mode == TIMED)
            core_runtime(m->c, ALLOC_INSTRUCTIONS);
        break;
    }
    case IMPORT_FREE:
        release(m, m->r[arguments[2]]);
        if (mode == TIMED)
            core_runtime(m->c, FREE_INSTRUCTIONS);
        break;
    case IMPORT_MEMSET:
    case IMPORT_MEMCPY:
        value = m->r[arguments[0]];
        outcome = move_memory(m, offset / IMPORT_BYTES == IMPORT_MEMCPY, mode);
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

/* A call that changes what is timed, or how. */
static int is_timed_only(const machine *m, uint64_t target)
{
    uint64_t number = (target - m->at.magic) / IMPORT_BYTES;
    return number == IMPORT_RETURN || number == IMPORT_SECTION_RETURN || number == IMPORT_LAUNCH;
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
#include "interpret_loop.h"

#define LOOP run_timed
#define MODE TIMED
#include "interpret_loop.h"

#define LOOP run_counted
#define MODE COUNTED
#include "interpret_loop.h"

#define LOOP run_marked
#define MODE MARKED
#include "interpret_loop.h"

typedef const void *const *loop(machine *, enum outcome *);
static loop *const loops[MODES] = {run_touched, run_timed, run_counted, run_marked};

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
static int encode(const machine *m, const insn *i, const micro_op *u, const void *const *labels, step *s, enum mode mode)
{
    unsigned op = u->op, plain_memory = op >= OP_LOAD && op <= OP_PREFETCH;
    if (op == OP_NOP || (op == OP_V_UNKNOWN && !(i->spare[0] & OPTION_TRACK)))
        return 0;
    *s = (step){.go = 0, .size = u->size, .dst = u->dst, .a = u->a, .b = u->b, .c = u->c, .shift = u->shift,
                .modify = u->modify, .spare = u->op, .imm = u->imm};
    if (i->spare[0] & OPTION_TOUCH_ONLY) {
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

static void mark_leaders(const machine *m, const micro_op *ops, uint8_t *leader)
{
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
}

/* Instructions of the block that begins at `k`. */
static uint32_t block_length(const machine *m, const uint8_t *leader, uint32_t k)
{
    uint32_t length = 0;
    do
        length += !(m->program[k++].flags & INSN_CONTINUES);
    while (k < m->insns && !leader[k]);
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
    uint8_t *leader = calloc(m->insns + 1, 1);
    to->steps = malloc((n_ops + 2 * (size_t)m->insns + 2) * sizeof *to->steps);
    to->first = malloc((m->insns + 1) * sizeof *to->first);
    to->step_of = calloc(m->at.text_bytes + 1, sizeof *to->step_of);
    to->counts = mode >= COUNTED ? m->codes[TOUCHED].counts : calloc(m->insns + 1, sizeof *to->counts);
    if (!leader || !to->steps || !to->first || !to->step_of || !to->counts) {
        free(leader);
        return OUT_OF_MEMORY;
    }
    leader[0] = 1;
    mark_leaders(m, ops, leader);
    uint32_t n = 0;
    for (uint32_t k = 0; k < m->insns; k++) {
        uint32_t *known = &to->step_of[m->program[k].address - m->at.text];
        to->first[k] = n;
        if (*known == 0)
            *known = n + 1;
        if (leader[k])
            to->steps[n++] = (step){.go = labels[OP_COUNT], .instructions = block_length(m, leader, k),
                                    .imm = (int64_t)(intptr_t)&to->counts[k]};
        n = lay_out(m, ops, labels, k, to->steps, n, mode);
    }
    to->steps[n++] = (step){.go = labels[OP_MISSING]};
    to->n_steps = n;
    link_branches(m, to, labels);
    free(leader);
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
    free(m->is_zeros), free(m);
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

/* How often each block ran, untimed or TIMED, in the last call, at the index of the instruction it begins
 * with; null where none did. */
EXPORT const uint64_t *machine_counts(const machine *m, int timed)
{
    return m->codes[timed].counts;
}

/* Of memset and memcpy in the last call: bytes untimed, bytes timed, cycles of the timed ones. */
EXPORT void machine_streams(const machine *m, double *three)
{
    three[0] = (double)m->streamed[0], three[1] = (double)m->streamed[1], three[2] = m->stream_cycles;
}
