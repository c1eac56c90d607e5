/* SPDX-License-Identifier: Apache-2.0 */
/* What a core expects branches to do: TAGE (Seznec and Michaud, 2006) with four tables.
 *
 * Each table knows branches by a longer history than the one before; the longest that knows this one decides.
 */
#include "branches.h"

static inline void count_to(uint8_t *counter, int taken)
{
    if (taken && *counter < 3) ++*counter;
    if (!taken && *counter > 0) --*counter;
}

/* Remembers what the branch did, in the first longer history that has room for it. */
static void remember_branch(tagged *const *entry, const uint16_t *tags, int from, int taken)
{
    for (int t = from; t < TABLES; t++) {
        if (!entry[t]->useful) {
            *entry[t] = (tagged){.tag = tags[t], .counter = taken ? 2 : 1};
            return;
        }
        entry[t]->useful = 0;
    }
}

/* Whether the branch at `address` was expected to do what it does, which is learnt. The longest history that is
 * looked at is `length` branches, at most 64. */
static int expected(predictor *p, uint32_t length, uint64_t address, int taken)
{
    tagged *entry[TABLES], *longest = 0;
    uint16_t tags[TABLES];
    int from = 0;
    for (int t = 0; t < TABLES; t++) {
        uint32_t part = length >> (TABLES - 1 - t);
        uint64_t past = part >= 64 ? p->history : p->history & ((1ull << part) - 1);
        uint64_t hash = (past + (address << 7) + (uint64_t)t) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
        entry[t] = &p->tables[t][hash & (TAGGED - 1)];
        tags[t] = (uint16_t)(hash >> 40) | 1;
        if (entry[t]->tag == tags[t]) longest = entry[t], from = t + 1;
    }
    uint8_t *counter = longest ? &longest->counter : &p->counters[(address ^ address >> 12) & (BRANCHES - 1)];
    int right = (*counter >= 2) == taken;
    count_to(counter, taken);
    if (longest) longest->useful = (uint8_t)right;
    if (!right) remember_branch(entry, tags, from, taken);
    p->history = p->history << 1 | (uint64_t)taken;
    return right;
}
