/* SPDX-License-Identifier: Apache-2.0 */
/* All that a core remembers while it times a program, and what it works out once about each instruction. */
#pragma once

#include "branches.h"
#include "pipeline.h"

enum { STORE_TABLE = 1024, PAGE_PARTS = 256 /* of 16 bytes */, RING = 1024 };

typedef struct plan { /* what a static instruction needs, worked out once */
    op_params op;   /* its arithmetic; of a pure load or store, the memory step */
    op_params load; /* of the loads of an instruction that also calculates */
    uint8_t cause, uops, loads_only, address_from, per_load;
    uint8_t counted;
} plan;

typedef struct ring { /* the last times of something, to bound how many there are at once */
    int64_t time[RING];
    uint32_t count;
} ring;

enum { HORIZON = 1 << 15 }; /* cycles ahead that a scheduler tells apart */

typedef struct queue { /* a scheduler: the latest issue times, as many as it has entries; those gone by are left out */
    uint16_t waiting[HORIZON]; /* by cycle: operations that issue in it */
    uint32_t held;             /* in all */
    int64_t first;             /* none issues before */
    int64_t origin;            /* whose place in `waiting` is 0 */
} queue;

struct core {
    core_params p;
    memory memory;
    const insn *program;
    uint32_t count;
    plan *plans;
    double *per_insn; /* cycles by instruction and cause */
    int64_t ready[256], accumulate[256];
    uint8_t why[256]; /* what made the register late */
    int64_t front;    /* the cycle being dispatched (in order: issued) */
    uint32_t used;    /* places of it that are taken */
    uint32_t alone;   /* in order: the cycle takes no more */
    uint8_t front_why;
    int64_t retired;
    uint32_t retired_in_cycle;
    ring window, loads, stores;
    queue queue[QUEUES];
    uint64_t busy[PORTS][CALENDAR];
    int64_t full[PORTS]; /* every cycle before it is taken */
    int64_t cleared;
    int64_t port_free[PORTS];
    int64_t latest[PORTS];   /* where ports are bound: the last cycle taken, */
    uint64_t counted[PORTS]; /* the group `pending` is of, */
    uint32_t pending[PORTS];
    uint64_t group; /* the `width` micro-ops renamed together */
    uint32_t slot;  /* and how many of them have been */
    const insn *last;
    int64_t resolved; /* when the last branch knew its way */
    predictor branches;
    uint64_t code_line;
    cache code;
    uint64_t stored[STORE_TABLE];
    int64_t stored_at[STORE_TABLE];
    uint64_t low[PAGE_PARTS];     /* by its place in a page: the last store there, */
    int64_t low_given[PAGE_PARTS]; /* and when its data were there */
    uint64_t left_line;           /* of the last store that left, */
    int64_t left;                 /* and when */
    int64_t vector_issue;
    struct core_stats stats;
};
