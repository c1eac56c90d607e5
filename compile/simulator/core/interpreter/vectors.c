/* SPDX-License-Identifier: Apache-2.0 */
/* Integers in vector registers, followed because LLVM makes addresses and conditions of them. */
#include <string.h>

#include "interpret.h"

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
