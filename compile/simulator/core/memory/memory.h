/* SPDX-License-Identifier: Apache-2.0 */
/* The memory system of one core: caches, translation, prefetchers, store buffer, DRAM.
 *
 * Accesses come in program order, each with the cycle at which it starts; the answer is the cycle at which its data
 * are there. What is limited is limited by time stamps: a line on its way carries the cycle of its arrival, a bus the
 * cycle at which it is free again (in 1/256 cycles), a fill buffer the cycle at which it empties.
 */
#pragma once

#include "core.h"

enum { OWNED_LINES = 1 << 22 };
enum { GUESSES = 1024, TLB_GUESSES = 512 };
enum { MAX_LEVELS = 3, MAX_STREAMS = 32, MAX_FILLS = 64, MAX_TLB = 128, MAX_MERGING = 16, POINTS = 256 };
/* Which level gave the data; the last is a store buffer's. */
enum { FROM_L1, FROM_L2, FROM_L3, FROM_DRAM };

enum { REPLACE_LONGEST_AGO, REPLACE_RANDOM, REPLACE_TREES }; 

typedef struct cache_params {
    uint32_t bytes, ways, latency; /* latency: load to use, in cycles */
    uint32_t line_time;            /* 1/256 cycles that one line occupies the path to the level above */
    uint32_t shared;               /* cores that share it */
    uint32_t replacement;          /* REPLACE_* */
} cache_params;

typedef struct memory_params {
    uint32_t levels, line_shift;
    cache_params level[MAX_LEVELS];
    uint32_t dram_latency;                   /* cycles */
    uint32_t dram_line_time, dram_all_time;  /* 1/256 cycles a line: what one core can have; what all have together */
    uint32_t misses, misses_l2;              /* outstanding fills of L1; of the level before DRAM */
    /* Streams: fixed strides of up to max_stride lines, seen in the misses; by_page: one a page, line after line.
     * pairs: what L2 misses comes with the other line of its 128 bytes. */
    uint32_t streams, trigger, max_stride, depth_l1, depth_l2, prefetches, crosses_pages, store_prefetch, by_page, pairs;
    /* Strides by instruction: how many strides ahead; 0 none. */
    uint32_t stride_ahead;
    /* Full lines in a row after which stores no longer fetch what they overwrite; 0 never. */
    uint32_t streaming_lines, merging, stores_merge;
    uint32_t write_back; /* reads in whose time a cache takes one line that is written back into it */
    uint32_t page_shift, tlb_entries, tlb2_entries, tlb2_ways, tlb2_latency, walk_latency;
} memory_params;

typedef struct cache {
    uint32_t sets, mask, ways, latency, line_time, replacement, shared; /* mask: sets - 1, or 0 where no power of two */
    uint64_t *tags;   /* line + 1, 0 where empty */
    int64_t *ready;   /* when the line is, or was, there */
    uint32_t *used;   /* time of last use, for replacement */
    uint8_t *state;   /* LINE_* */
    uint32_t page_lines; /* log2 of a page's lines where sets are by physical address; 0: they are not */
    uint32_t tree;    /* ways of a binary tree of replacement */
    uint32_t guess[GUESSES]; /* by line: the place it was last found in */
    int64_t free;     /* when its port is, 1/256 cycles */
    uint64_t misses;
} cache;

enum { LINE_DIRTY = 1, LINE_PREFETCHED = 2 };

typedef struct stream {
    uint64_t last;
    int64_t stride;
    uint32_t count, ahead, used;
} stream;

typedef struct point { /* an instruction's accesses */
    uint32_t id;
    uint32_t confidence;
    uint64_t last;
    int64_t stride;
} point;

typedef struct merge { /* a line being written, with the bytes written so far */
    uint64_t line;
    uint64_t bytes;
    uint32_t used;
    uint8_t fetched; /* it is, or will be, in L1 */
} merge;

typedef struct memory {
    memory_params p;
    cache level[MAX_LEVELS];
    uint8_t *used_by_others; /* by line: a bit for each parallel section in which another core uses it too */
    uint32_t section;        /* counts them */
    uint32_t clock; /* of accesses, for replacement */
    uint32_t seed;
    int tasks;
    int64_t slack; /* how far accesses may come out of order, 1/256 cycles */
    int64_t dram_free;
    uint32_t dram_line_time, dram_shared_time; /* of a line of this core alone; of one that serves all */
    int64_t fill[MAX_FILLS], prefetch[MAX_FILLS], prefetch_l2[MAX_FILLS], fill_l2[MAX_FILLS];
    stream streams[MAX_STREAMS];
    point points[POINTS];
    merge merging[MAX_MERGING];
    uint32_t full_lines; /* in a row */
    int64_t drained;     /* when the last store left its buffer */
    uint64_t tlb[MAX_TLB];
    uint32_t tlb_used[MAX_TLB], tlb_last;
    uint8_t tlb_guess[TLB_GUESSES]; /* by page: the entry that had it */
    uint64_t *tlb2;
    uint32_t *tlb2_used;
    int walking;
    uint64_t tlb_misses, walks, dram_lines;
} memory;
