/* SPDX-License-Identifier: Apache-2.0 */
/* What the emulator's plugin writes and replay.c reads: words of 64 bits, in packets of one virtual CPU each.
 *
 * A packet begins with HEADER(cpu, words). CPU DEFINITIONS describes code before anything runs it:
 *     CODE(id), address, (instructions), then two instructions a word;
 *     MAPPING(bytes), first address, last address, offset in the file, then the file's path, padded with zeros.
 * Other packets hold what that CPU did, in order: REGION, BLOCK and ACCESS words.
 */
#pragma once

#include <stdint.h>

enum { DEFINITIONS = 0xffff, KIND_SHIFT = 61, PLACE_SHIFT = 51, SIZE_SHIFT = 48, LAST_PLACE = 1023 };
enum kind { KIND_HEADER, KIND_CODE, KIND_MAPPING, KIND_REGION, KIND_BLOCK, KIND_LOAD, KIND_STORE };
/* SECTION: the CPU met with others, or went its way again (it called futex). */
enum region { REGION_END, REGION_WARM, REGION_TIMED, REGION_SECTION };

#define WORD(kind, value) ((uint64_t)(kind) << KIND_SHIFT | (uint64_t)(value))
#define HEADER(cpu, words) WORD(KIND_HEADER, (uint64_t)(cpu) << 32 | (uint64_t)(words))
/* An access of the instruction at `place` in its block, of 1 << size bytes. */
#define ACCESS(kind, place, size, address) \
    (WORD(kind, (uint64_t)(place) << PLACE_SHIFT | (uint64_t)(size) << SIZE_SHIFT) | ((address) & 0xffffffffffffull))
