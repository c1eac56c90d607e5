/* SPDX-License-Identifier: Apache-2.0 */
/* The core: front end, ports, dependences, in order or out of order.
 *
 * Each instruction is timed once, in program order: when it can be dispatched, when its operands are there, when a
 * port that can do it is free, when it is done. Out of order, ports keep a calendar of busy cycles, so that a later
 * instruction may take an earlier cycle; in order, issue times never fall.
 */
#pragma once

#include "memory/memory.h"

enum { PORTS = 16, WIDTHS = 4, QUEUES = 3, CALENDAR = 64 /* words of 64 cycles */ };

/* What a cycle is spent on. */
enum cause {
    CAUSE_FMA, CAUSE_VECTOR, CAUSE_LOAD_STORE, CAUSE_INTEGER, CAUSE_FRONT_END, CAUSE_LATENCY,
    CAUSE_L1, CAUSE_L2, CAUSE_L3, CAUSE_DRAM, CAUSE_STORE, CAUSE_LAUNCH, CAUSES
};

/* How one class at one width (8, 16, 32, 64 bytes) is done. */
typedef struct op_params {
    uint16_t ports;      /* bits: those that can do it */
    uint16_t then_ports; /* of a second step: a load's way through the vector pipes, a store's data */
    uint8_t slots;       /* port cycles it takes */
    uint8_t then_slots;
    int8_t latency;      /* of a load: beyond the cache's */
    uint8_t accumulate;  /* latency to the accumulator of a following multiply-add */
    uint8_t micro_ops;   /* places at dispatch */
    uint8_t alone;       /* in order: issues with no other */
    uint8_t queue;       /* which scheduler: 0 integer, 1 memory, 2 vector */
    uint8_t blocks;      /* not pipelined: holds its port for all its slots in one piece */
} op_params;

typedef struct core_params {
    op_params ops[CLASSES][WIDTHS];
    memory_params memory;
    uint32_t in_order, width, retire_width, window;
    uint32_t queue[QUEUES];       /* entries, 0 no limit */
    uint32_t load_queue, store_queue;
    uint32_t mispredict, taken;   /* cycles lost by a wrong guess, by a taken branch */
    uint32_t history;             /* branches that the predictor remembers */
    uint32_t code_bytes, code_ways, code_latency, code_next; /* instruction cache; 1: the next line is prefetched */
    uint32_t forward;             /* cycles from a store's data to a load of the same address */
    uint32_t replays;             /* times a load takes its port again when it finds the data of a store before it missing */
    uint32_t alias;               /* cycles a load is late that has its place in a page in common with a store before it; 0 none */
    uint32_t binds;               /* out of order: an operation's port is chosen when it is dispatched, not when it can start */
    uint32_t launch, launch_task; /* cycles of a parallel section: once, and for each further task */
    uint32_t in_order_vector;     /* out-of-order cores whose vector unit issues in order (Cortex-A9) */
} core_params;

struct core_stats {
    double cycles;
    double causes[CAUSES];
    uint64_t instructions, misses[MAX_LEVELS], dram_lines, tlb_misses, walks, mispredicted;
};
