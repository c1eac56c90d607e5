/* SPDX-License-Identifier: Apache-2.0 */
/* Loads after stores: those to the same place wait for the data, those to the same place in a page may seem to; and
 * the order in which stores leave.
 */
#include "state.h"

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
