/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of branches; branches.c says how it is used. */
#pragma once

#include "core.h"

enum { TABLES = 4, TAGGED = 1024, BRANCHES = 4096 };

typedef struct tagged { /* what a branch did after one history */
    uint16_t tag;       /* 0: nothing yet */
    uint8_t counter, useful;
} tagged;

typedef struct predictor {
    uint64_t history;
    uint8_t counters[BRANCHES]; /* whatever the history; 2 and 3 mean taken */
    tagged tables[TABLES][TAGGED];
} predictor;
