/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator as one unit, so that the interpreter's loop takes the core model in. */
#include "memory/memory.c"
#include "pipeline/pipeline.c"
#include "interpreter/interpret.c"

#include "layouts.h" /* made by c_headers.py: Python declares the same, or this fails */
