/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that executes the integer slice of a program: memory image, registers, predecoded steps. */
#pragma once

#include <stddef.h>

#include "core.h"
#include "micro_ops.h" /* made by c_headers.py: MICRO_OPS(X) lists Op of micro_ops.py in order */

typedef struct micro_op {
    uint8_t op, size, dst, a, b, c, shift, modify;
    int64_t imm;
} micro_op;

#define ENUMERATE(name) OP_##name,
enum { MICRO_OPS(ENUMERATE) GENERIC_OPS };
#undef ENUMERATE

/* Faster forms of common micro-ops, chosen when a program is loaded, and steps that only the engine makes. */
#define SPECIAL_OPS(X)                                                                              \
    X(ADD64_I) X(ADD64_R) X(ADD64_S) X(ADD32_I) X(ADD32_R) X(MOV64_R) X(MOV_I) X(MOV32_R)           \
    X(FLAGS_SUB64_I) X(FLAGS_SUB64_R) X(FLAGS_SUB32_I) X(FLAGS_SUB32_R) X(BRANCH_EQ) X(BRANCH_NE)   \
    X(LOAD8_I) X(LOAD4_I) X(STORE8_I) X(TOUCH_LOAD_I) X(TOUCH_STORE_I) X(TOUCH_LOAD_R)              \
    X(V_LOAD16_I) X(V_STORE16_I) X(RETIRE) X(COUNT) X(JUMP_TO) X(MISSING)

#define ENUMERATE(name) OP_##name,
enum { BEFORE_SPECIAL = GENERIC_OPS - 1, SPECIAL_OPS(ENUMERATE) ALL_OPS };
#undef ENUMERATE

enum { MODIFY_LSL, MODIFY_UXTB, MODIFY_UXTH, MODIFY_UXTW, MODIFY_SXTB, MODIFY_SXTH, MODIFY_SXTW, MODIFY_LSR, MODIFY_ASR, MODIFY_ROR };
enum condition { /* ARM's, over N Z C V; each odd one is the opposite of the one before */
    CONDITION_EQ, CONDITION_NE, CONDITION_CS, CONDITION_CC, CONDITION_MI, CONDITION_PL, CONDITION_VS, CONDITION_VC,
    CONDITION_HI, CONDITION_LS, CONDITION_GE, CONDITION_LT, CONDITION_GT, CONDITION_LE, CONDITION_AL
};
enum { ZERO_REGISTER = 32, SINK_REGISTER = 33, INTEGER_REGISTERS = 64, VECTOR_REGISTERS = 64, VECTOR_BYTES = 64 };

typedef struct step {
    const void *go; /* the label that executes it */
    union {
        struct {
            uint8_t size, dst, a, b, c, shift, modify, spare;
        };
        uint32_t instructions; /* of a COUNT: in its block */
    };
    int64_t imm; /* a number, or a pointer to a step, an insn or a counter */
} step;

enum flags_kind { FLAGS_OF_SUB, FLAGS_EXPLICIT, FLAGS_NOT_KNOWN };

/* Imports: what a jump to `magic + IMPORT_BYTES * k` calls, by imports.py. */
enum { IMPORT_BYTES = 16 };
enum import {
    IMPORT_RETURN,          /* the kernel returns to its caller */
    IMPORT_SECTION_RETURN,  /* the task of a parallel section returns */
    IMPORT_LAUNCH, IMPORT_BARRIER, IMPORT_ALLOC, IMPORT_FREE, IMPORT_ERROR,
    IMPORT_MEMSET, IMPORT_MEMCPY, IMPORT_LIBM,
    IMPORT_DIVIDE_S, IMPORT_DIVIDE_U, /* ARM cores without an instruction for it; the rest goes to the second register */
    IMPORTS
};

enum { PAGE_SHIFT = 12, MAX_UNWRITTEN = 4 };
/* Instructions of TVM's runtime for a workspace, counted on x86-64: a look into thread-local storage and lists. */
enum { ALLOC_INSTRUCTIONS = 180, FREE_INSTRUCTIONS = 163 };

enum { MAX_ARGUMENTS = 6, ARGUMENT_REGISTERS = 8, MAX_WORKSPACES = 64, MAX_SECTIONS = 8 };

/* How a function is called, and where things are; machine.py fills it. */
typedef struct machine_layout {
    uint64_t base, bytes;         /* of the memory image */
    uint64_t magic;               /* address of import 0 */
    uint64_t text, text_bytes;    /* where instructions are */
    uint64_t heap, heap_bytes;    /* for workspaces */
    uint64_t environment;         /* of a TVMParallelGroupEnv */
    uint64_t stack;               /* top */
    uint64_t entry;
    uint64_t arguments[MAX_ARGUMENTS];
    uint8_t argument_registers[ARGUMENT_REGISTERS];
    uint32_t result_register, stack_register;
    int32_t link_register;        /* -1: return addresses are pushed */
    uint32_t pointer_bytes;
    uint32_t threads;
    uint32_t n_unwritten;
    uint64_t unwritten[MAX_UNWRITTEN][2]; /* first and end of memory that nothing has written: one page of zeros, */
    uint64_t zeros;                       /* which is here */
    uint64_t max_instructions;    /* give up after so many */
} machine_layout;

enum outcome {
    RAN, FAULT, NO_SUCH_CODE, FLAGS_NEEDED, VECTOR_NEEDED, TOO_LONG, KERNEL_FAILED, OUT_OF_MEMORY, NESTED, BUDGET_SPENT,
    OTHER_LOOP, /* the machine is now running other code */
};

/* What becomes of the instructions: their accesses touch the caches, or the core times them, or they are only counted,
 * or their lines are marked as another core's too. */
enum mode { TOUCHED, TIMED, COUNTED, MARKED, MODES };

typedef struct workspace {
    uint64_t address, bytes;
    int used;
    int task; /* each has a pool of its own */
} workspace;

/* A program as steps, for one of the loops. */
typedef struct code {
    step *steps;
    uint32_t n_steps;
    uint32_t *first;   /* by insn: its first step */
    uint32_t *step_of; /* by byte of text: index of the step an instruction begins with, + 1 */
    uint64_t *counts;  /* by insn: how often the block that begins with it ran; all but TIMED have the same */
} code;

enum { NOWHERE = UINT32_MAX };

typedef struct machine {
    machine_layout at;
    uint8_t *memory;
    uint64_t limit;
    const insn *program;
    uint32_t insns;
    uint8_t *leader; /* by insn: whether a block begins with it */
    code *running, codes[MODES];
    uint8_t *is_zeros; /* by page, null where all memory is written */
    int64_t budget;     /* instructions until the loop is left, with BUDGET_SPENT and where to go on: */
    uint32_t go_on;     /* at this insn, or if NOWHERE, */
    uint64_t target;    /* by a jump to here */
    uint32_t paused;    /* timing leaves a stretch out; the begin and end of a parallel section end it */
    uint64_t streamed[2]; /* bytes of memset and memcpy, untimed and timed */
    double stream_cycles; /* of the timed ones */
    core *c;
    uint64_t r[INTEGER_REGISTERS];
    uint8_t v[VECTOR_REGISTERS][VECTOR_BYTES];
    uint8_t v_unknown[VECTOR_REGISTERS];
    uint64_t flag_a, flag_b; /* operands of a subtraction, shifted to the top */
    uint32_t flag_kind, nzcv;
    workspace workspaces[MAX_WORKSPACES];
    uint32_t n_workspaces;
    uint64_t heap_used;
    uint64_t section_return[MAX_SECTIONS], section_stack[MAX_SECTIONS], section_code[MAX_SECTIONS], section_data[MAX_SECTIONS];
    enum mode mode; /* of this run */
    int probing;    /* it is in task 1 of a section */
    uint32_t sections;
    uint64_t error_address; /* what was jumped to or accessed */
    uint64_t error_at;      /* the instruction, where known */
} machine;
