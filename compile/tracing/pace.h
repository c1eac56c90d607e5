/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the program's threads abreast of one another: none runs more than LEAD instructions ahead of another that runs.
 *
 * Threads that take their work as they come to it share it as they do on cores of their own, not as this machine
 * happens to run them.
 */
#pragma once

#include <stdint.h>
#include <unistd.h>

enum { CPUS = 64, LEAD = 4000, STEP = 1000, NAP_US = 100, PATIENCE = 3000 /* naps without any progress */ };
enum { FUTEX = 98, FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_WAIT_BITSET = 9, FUTEX_WAKE_BITSET = 10, FUTEX_OF = 127 };

typedef struct pace {
    volatile uint64_t did; /* instructions; where one that slept begins again, as many as who is furthest */
    volatile int here;     /* it runs: it has begun and is in no system call */
    uint64_t next;         /* when to look at the others again */
    volatile uint64_t at;  /* the futex that it waits for, or 0 */
} pace;

static pace paces[CPUS];

static void pace_arrives(unsigned cpu)
{
    for (unsigned k = 0; k < CPUS; k++)
        if (paces[k].here && paces[k].did > paces[cpu].did) paces[cpu].did = paces[k].did;
    paces[cpu].next = paces[cpu].did + STEP;
    paces[cpu].at = 0;
    paces[cpu].here = 1;
}

static uint64_t pace_slowest(unsigned cpu)
{
    uint64_t least = paces[cpu].did;
    for (unsigned k = 0; k < CPUS; k++)
        if (paces[k].here && paces[k].did < least) least = paces[k].did;
    return least;
}

/* The others may wait for this one in turn (to stop all threads), hence the patience. */
static void pace_waits(unsigned cpu)
{
    uint64_t before = 0;
    paces[cpu].next = paces[cpu].did + STEP;
    for (int idle = 0; idle < PATIENCE; idle++) {
        uint64_t least = pace_slowest(cpu);
        if (paces[cpu].did - least <= LEAD) return;
        if (least != before) before = least, idle = 0;
        usleep(NAP_US);
    }
}

/* The CPU is about to run so many instructions, and to wait if it is ahead and `together`. */
static inline void pace_runs(unsigned cpu, uint64_t count, int together)
{
    if (__builtin_expect(!paces[cpu].here, 0)) pace_arrives(cpu);
    paces[cpu].did += count;
    if (together && __builtin_expect(paces[cpu].did >= paces[cpu].next, 0)) pace_waits(cpu);
}

/* It is in a system call, which may take any time. Whom it wakes together runs from now on, however long this machine
 * takes to notice. */
static inline void pace_leaves(unsigned cpu, int64_t call, uint64_t address, uint64_t operation, uint64_t count)
{
    paces[cpu].here = 0;
    if (call != FUTEX) return;
    operation &= FUTEX_OF;
    if (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET) paces[cpu].at = address;
    if (count > 1 && (operation == FUTEX_WAKE || operation == FUTEX_WAKE_BITSET))
        for (unsigned k = 0; k < CPUS; k++)
            if (paces[k].at == address) paces[k].at = 0, paces[k].did = paces[cpu].did, paces[k].here = 1;
}
