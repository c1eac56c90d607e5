/* SPDX-License-Identifier: Apache-2.0 */
/* A packed function that does every kind of integer arithmetic, and fails when what comes out is not EXPECTED.
 * Compiled for each architecture; natively it tells what to expect. NARROW leaves out what 32-bit
 * architectures need library functions for, NO_COUNT what AArch64 does with vectors; PARTS chooses among the groups below. */
#include <stdint.h>

#ifndef ROUNDS
#define ROUNDS 300
#endif
#ifndef PARTS
#define PARTS 63
#endif

static uint32_t mix(uint32_t h, uint32_t x) { return (h ^ x) * 0x9e3779b1u + (h >> 7 | h << 25); }
static uint32_t mix64(uint32_t h, uint64_t x) { return mix(mix(h, (uint32_t)x), (uint32_t)(x >> 32)); }

__attribute__((noinline)) static uint32_t words(uint32_t h, uint32_t a, uint32_t b)
{
    int32_t s = (int32_t)a, t = (int32_t)b;
    h = mix(h, a + b), h = mix(h, a - b), h = mix(h, a * b), h = mix(h, a & ~b), h = mix(h, a | b << 3);
    h = mix(h, a / (b | 1)), h = mix(h, a % (b | 1));
    h = mix(h, (uint32_t)(s / ((t & 0xff) + 3))), h = mix(h, (uint32_t)(s % ((t & 0xff) + 3)));
    h = mix(h, a / 7), h = mix(h, (uint32_t)(s / 7)), h = mix(h, (uint32_t)(s % 28));
    h = mix(h, a >> (b & 31)), h = mix(h, a << (b & 31)), h = mix(h, (uint32_t)(s >> (b & 31)));
    h = mix(h, a >> 5), h = mix(h, (uint32_t)(s >> 9)), h = mix(h, a << 11);
    h = mix(h, (a >> (b & 31)) | (a << (-b & 31))), h = mix(h, a >> 13 | a << 19);
    h = mix(h, s < t ? a : b), h = mix(h, a < b ? a + 1 : b), h = mix(h, s > t ? s - t : -s);
    h = mix(h, (a >> 3) & 0x3ff), h = mix(h, (uint32_t)((int32_t)(a << 7) >> 20)), h = mix(h, ~a);
    h = mix(h, (a & 0xffff00ff) | (b & 0xff) << 8), h = mix(h, a - (a < b)), h = mix(h, a + (a > b));
    h = mix(h, (s == t) + (s != 0) * 2 + (s >= t) * 4 + (a <= b) * 8);
    h = mix(h, (uint32_t)__builtin_clz(a | 1));
#ifndef NO_COUNT
    h = mix(h, (uint32_t)__builtin_popcount(a));
#endif
    h = mix(h, (uint32_t)__builtin_ctz(a | 0x80000000u)), h = mix(h, __builtin_bswap32(a));
    h = mix(h, (uint32_t)((uint64_t)a * b >> 32)), h = mix(h, (uint32_t)((int64_t)s * t >> 32));
    h = mix(h, a & -a), h = mix(h, a & (a - 1)), h = mix(h, a >> (b & 31) & 1 ? a : h);
    return h;
}

__attribute__((noinline)) static uint32_t small(uint32_t h, uint32_t a, uint32_t b)
{
    uint8_t c = (uint8_t)a, d = (uint8_t)b;
    uint16_t e = (uint16_t)a, f = (uint16_t)(b >> 9);
    int8_t g = (int8_t)(a >> 3);
    int16_t i = (int16_t)(b >> 5);
    h = mix(h, (uint8_t)(c + d)), h = mix(h, (uint8_t)(c - d) >> 1), h = mix(h, c < d), h = mix(h, c == d);
    h = mix(h, (uint16_t)(e * f)), h = mix(h, (uint16_t)(e + f) < e), h = mix(h, (uint32_t)(g * i));
    h = mix(h, (uint32_t)(g >> 2)), h = mix(h, (uint32_t)(i + g)), h = mix(h, g < (int8_t)d ? 3 : 9);
    h = mix(h, (uint32_t)i < 100u ? a : 0), h = mix(h, (i > g) & (c != 3) & (e >= f));
    if ((c & 0x1c) == 8 || (e & 0x81) == 0x80) h = mix(h, 77);
    return h;
}

__attribute__((noinline)) static uint32_t longs(uint32_t h, uint64_t a, uint64_t b)
{
    int64_t s = (int64_t)a, t = (int64_t)b;
    unsigned n = (unsigned)b & 63;
    h = mix64(h, a + b), h = mix64(h, a - b), h = mix64(h, a * b), h = mix64(h, a ^ b), h = mix64(h, -a);
    h = mix64(h, a >> n), h = mix64(h, a << n), h = mix64(h, (uint64_t)(s >> n)), h = mix64(h, a >> 1);
    h = mix64(h, a << 7), h = mix64(h, (uint64_t)(s >> 35)), h = mix64(h, s < t ? a : b);
    h = mix64(h, a < b), h = mix64(h, s > 5 ? a : (uint64_t)(t / 2)), h = mix64(h, a + (a < b));
    h = mix64(h, (uint64_t)(uint32_t)a * (uint32_t)b + b), h = mix64(h, (uint64_t)((int64_t)(int32_t)a * (int32_t)b - t));
#ifndef NARROW
    h = mix64(h, a / (b >> 40 | 1)), h = mix64(h, (uint64_t)(s % (t | 1)));
    h = mix64(h, (uint64_t)((unsigned __int128)a * b >> 64)), h = mix64(h, a / 1000003u);
#endif
    return h;
}

__attribute__((noinline)) static uint32_t memory(uint32_t h, uint32_t a, uint32_t b)
{
    volatile uint32_t words_[16];
    volatile uint8_t *bytes = (volatile uint8_t *)words_;
    volatile int16_t *halves = (volatile int16_t *)words_;
    for (unsigned i = 0; i < 16; i++)
        words_[i] = a * i + b;
    bytes[a & 31] = (uint8_t)b, halves[b & 15] = (int16_t)a, words_[(a >> 4) & 15] += b;
    for (unsigned i = 0; i < 16; i++)
        h = mix(h, words_[i] + (uint32_t)(int8_t)bytes[i] - (uint32_t)halves[15 - i] + bytes[63 - i]);
    return h;
}

__attribute__((noinline)) static uint32_t choose(uint32_t h, uint32_t a)
{
    switch (a % 9) {
    case 0: return mix(h, 1);
    case 1: return h + 12345;
    case 2: return h ^ a;
    case 3: return h * 3 + a;
    case 4: return mix(a, h);
    case 5: return h - a;
    case 7: return h >> 1 ^ a << 3;
    default: return ~h;
    }
}

__attribute__((noinline)) static uint32_t deep(uint32_t h, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
    return a % 5 == 0 ? mix(h, b + c * d - e) : deep(mix(h, e), a - 1, c, d, e, b);
}

__attribute__((visibility("default"))) uint32_t hash(uint32_t seed)
{
    uint32_t h = seed, a = seed * 0x85ebca6bu + 1, b = seed + 0x12345;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (PARTS & 1) h = words(h, a, b);
        if (PARTS & 2) h = small(h, a, b);
        if (PARTS & 4) h = longs(h, (uint64_t)a << 32 | h, (uint64_t)b << 21 | a);
        if (PARTS & 8) h = memory(h, a, b);
        if (PARTS & 16) h = choose(h, b);
        if (PARTS & 32) h = deep(h, a & 31, b, a, h, i);
        a = mix(a, h), b = i % 7 == 0 ? h & 0xff : mix(b, a) >> (i & 15);
    }
    return h;
}

__attribute__((visibility("default"))) int32_t default_function(
    void *args, int *codes, int n, void *result, int *result_code, void *resource)
{
    (void)args, (void)codes, (void)result, (void)result_code, (void)resource;
    return hash((uint32_t)n) == EXPECTED ? 0 : -1;
}
