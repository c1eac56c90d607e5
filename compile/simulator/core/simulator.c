/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator as one unit, so that the interpreter's loop takes the core model in. */
#include "core.h"

#include "memory.c"
#include "branches.c"
#include "pipeline.c"
#include "sampling.c"

#include "interpret.c"
