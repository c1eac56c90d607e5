/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the simulator share: instructions, memory accesses, and the calls by which the interpreter drives
 * a core model and its memory system. What Python declares too, here and in other headers, c_headers.py holds it to.
 *
 * All sources are compiled as one unit (simulator.c includes them), so core_step can be inlined: keep private
 * names static. Deterministic: integers or IEEE doubles in a fixed order, nothing of the host's libm.
 */
#pragma once

#include <stdint.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NOINLINE __attribute__((noinline)) /* the rare way, kept from where the common one is inlined */
#define EXPORT __attribute__((visibility("default")))

static inline int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

enum { REGISTER_NONE = 255 };

/* Timing classes: Class of instructions.py. */
enum instruction_class {
    CLASS_NOP, CLASS_INT, CLASS_SHIFT, CLASS_MUL, CLASS_DIV, CLASS_BRANCH, CLASS_CALL,
    CLASS_LOAD_INT, CLASS_STORE_INT, CLASS_LOAD_VEC, CLASS_STORE_VEC, CLASS_LOAD_BROADCAST, CLASS_LOAD_LANE,
    CLASS_FMA, CLASS_FP_ADD, CLASS_FP_MUL, CLASS_FP_CMP, CLASS_FP_DIV_SQRT,
    CLASS_VEC_MOVE, CLASS_VEC_PERMUTE, CLASS_VEC_INT, CLASS_VEC_TO_INT, CLASS_INT_TO_VEC, CLASS_PREFETCH,
    CLASS_VEC_MUL, CLASS_VEC_MUL_LONG, CLASS_VEC_DOT, CLASS_VEC_ACCUMULATE, CLASS_VEC_SHIFT, CLASS_VEC_SHIFT_BY,
    CLASS_VEC_NARROW, CLASS_VEC_ZIP, CLASS_FP_CONVERT, CLASS_LOAD_SEVERAL, CLASS_STORE_SEVERAL,
    CLASSES
};

enum { /* Flag of instructions.py */
    INSN_ENDS_BLOCK = 1, /* a branch, call or return */
    INSN_CONTINUES = 2,  /* a further part of the machine instruction before it: one more micro-op to dispatch, not counted as an instruction */
    INSN_STACK = 4,      /* its memory operand is based on the stack pointer */
    INSN_BY_ELEMENT = 8, /* a multiply-add by one lane (fmla v.4s, v.4s, v.s[i]) */
};

/* What a pass over the code found that the interpreter may leave out: Option of instructions.py. */
enum { OPTION_TRACK = 1, OPTION_TOUCH_ONLY = 2 };

enum { MAX_DST = 6, MAX_SRC = 6, MAX_ACCESSES = 16 };

/* One instruction (or one part of one). 40 bytes. */
typedef struct insn {
    uint64_t address;
    uint32_t first;          /* its micro-ops: [first, first + count) */
    uint16_t count;
    uint16_t flops;          /* floating-point operations, all lanes */
    uint8_t cls;             /* enum instruction_class */
    uint8_t width;           /* bytes of vector operated on (4..64), 0 for integer instructions */
    uint8_t flags;           /* INSN_* */
    uint8_t loads, stores;   /* accesses it makes, in the order of its micro-ops */
    uint8_t accumulator;     /* index in src[] of a multiply-add's accumulator, or REGISTER_NONE */
    uint8_t base_update;     /* index in dst[] of an updated base register (known early), or REGISTER_NONE */
    uint8_t first_address;   /* index in src[]: this and later sources form addresses (needed before data), or REGISTER_NONE */
    uint8_t n_dst, n_src;
    uint8_t dst[MAX_DST], src[MAX_SRC]; /* 0-31 integer, 32-95 vector and mask, 96 flags */
    uint8_t options;         /* OPTION_* */
    uint8_t spare;
} insn;

typedef struct access {
    uint64_t address;
    uint32_t bytes;
    uint32_t is_store;
} access;

/* ---- The core model: pipeline/ and memory/. ---- */

typedef struct core core;
struct core_params; /* both of pipeline.h */
struct core_stats;

/* A core in its initial state (empty caches, cycle 0) for a program of `count` instructions, which outlives it. */
EXPORT core *core_create(const struct core_params *params, const insn *program, uint32_t count);
EXPORT void core_destroy(core *c);
/* One dynamic instruction in program order; `a` holds its loads + stores accesses. */
static void core_step(core *c, const insn *i, const access *a, int accesses);
/* The memory system alone, untimed: what a warm-up run leaves in the caches. */
static void core_touch(core *c, const access *a, int accesses);
/* A parallel section begins (tasks > 1: other cores run the other shares; memory is shared among `tasks`)
 * or ends (tasks = 1); the launch cost is charged at its begin. */
static void core_parallel(core *c, int tasks);
/* Another core uses these too, in this section. */
static inline void core_mark(core *c, const access *a, int accesses);
/* A function of the runtime that takes so many instructions; its time is the calling instruction's. */
static void core_runtime(core *c, uint32_t instructions);
/* A runtime function of the C library that streams memory: memset (source 0), memcpy. Timed as such. */
static void core_stream(core *c, uint64_t target, uint64_t source, uint64_t bytes);
/* Between the warm-up and the timed run: time restarts at 0, statistics are cleared, cache contents stay. */
EXPORT void core_restart(core *c);
/* Everything in flight completes; then the statistics. `per_insn`: cycles by index of instruction and cause, may be null. */
EXPORT void core_stats(core *c, struct core_stats *stats, double *per_insn);
