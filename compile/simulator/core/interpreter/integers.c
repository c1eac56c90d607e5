/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on integers of 1 to 8 bytes, and flags as ARM has them. */
#include <string.h>

#include "interpret.h"

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
    return condition == CONDITION_AL ? 1 : tests[condition >> 1] ^ (condition & 1);
}

static inline uint64_t holds(const machine *m, unsigned condition)
{
    uint64_t a = m->flag_a, b = m->flag_b;
    if (UNLIKELY(m->flag_kind != FLAGS_OF_SUB))
        return holds_explicitly(m, condition);
    switch (condition) {
    case CONDITION_EQ: return a == b;
    case CONDITION_NE: return a != b;
    case CONDITION_CS: return a >= b;
    case CONDITION_CC: return a < b;
    case CONDITION_MI: return (int64_t)(a - b) < 0;
    case CONDITION_PL: return (int64_t)(a - b) >= 0;
    case CONDITION_VS: return ((a ^ b) & (a ^ (a - b))) >> 63;
    case CONDITION_VC: return !(((a ^ b) & (a ^ (a - b))) >> 63);
    case CONDITION_HI: return a > b;
    case CONDITION_LS: return a <= b;
    case CONDITION_GE: return (int64_t)a >= (int64_t)b;
    case CONDITION_LT: return (int64_t)a < (int64_t)b;
    case CONDITION_GT: return (int64_t)a > (int64_t)b;
    case CONDITION_LE: return (int64_t)a <= (int64_t)b;
    default: return 1;
    }
}

/* N Z V stay; those that are not known count as 0. */
static void flags_with_carry(machine *m, uint64_t carry)
{
    unsigned n = 0, z = 0, v = 0;
    if (m->flag_kind != FLAGS_NOT_KNOWN)
        n = (unsigned)holds(m, CONDITION_MI), z = (unsigned)holds(m, CONDITION_EQ), v = (unsigned)holds(m, CONDITION_VS);
    m->nzcv = n << 3 | z << 2 | (unsigned)carry << 1 | v;
    m->flag_kind = FLAGS_EXPLICIT;
}
