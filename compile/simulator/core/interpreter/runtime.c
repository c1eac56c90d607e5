/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of TVM's runtime and of the C library that kernels call, answered here: parallel sections, workspaces,
 * memset and memcpy.
 */
#include <string.h>

#include "interpret.h"

static uint8_t *host(machine *m, uint64_t address, uint64_t bytes)
{
    uint64_t offset = address - m->at.base;
    if (offset > m->at.bytes || bytes > m->at.bytes - offset) {
        m->error_address = address;
        return 0;
    }
    return m->memory + offset;
}

static enum outcome write_word(machine *m, uint64_t address, uint64_t value)
{
    uint8_t *to = host(m, address, m->at.pointer_bytes);
    if (to == 0)
        return FAULT;
    memcpy(to, &value, m->at.pointer_bytes);
    return RAN;
}

/* The runtime function that was called returns `value`. */
static enum outcome return_value(machine *m, uint64_t value, uint64_t *target)
{
    m->r[m->at.result_register] = value;
    if (m->at.link_register >= 0) {
        *target = m->r[m->at.link_register];
        return RAN;
    }
    uint64_t *stack = &m->r[m->at.stack_register];
    const uint8_t *from = host(m, *stack, m->at.pointer_bytes);
    if (from == 0)
        return FAULT;
    *target = load(from, m->at.pointer_bytes);
    *stack += m->at.pointer_bytes;
    return RAN;
}

/* Goes to task `task` of the innermost section, to come back to IMPORT_SECTION_RETURN. */
static enum outcome begin_task(machine *m, uint64_t task, uint64_t *target)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint64_t back = m->at.magic + IMPORT_BYTES * IMPORT_SECTION_RETURN, *stack = &m->r[m->at.stack_register];
    *stack = m->section_stack[m->sections - 1];
    if (m->at.link_register >= 0) {
        m->r[m->at.link_register] = back;
    } else {
        *stack -= 2 * m->at.pointer_bytes; /* keeps the alignment that a call leaves */
        if (write_word(m, *stack, back) != RAN)
            return FAULT;
    }
    m->r[arguments[0]] = task;
    m->r[arguments[1]] = m->at.environment;
    m->r[arguments[2]] = m->section_data[m->sections - 1];
    m->probing = task > 0;
    m->running = &m->codes[task > 0 ? MARKED : m->mode];
    *target = m->section_code[m->sections - 1];
    return RAN;
}

/* Task 0 has the largest share and is the one that is timed. In a run that is not, task 1 goes first: it tells
 * which lines several cores use. */
static enum outcome begin_section(machine *m, uint64_t *target)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint32_t asked = (uint32_t)m->r[arguments[2]], tasks = asked ? asked : m->at.threads;
    if (m->sections == MAX_SECTIONS)
        return NESTED;
    uint8_t *environment = host(m, m->at.environment, 16);
    if (environment == 0)
        return FAULT;
    memset(environment, 0, 16);
    memcpy(environment + m->at.pointer_bytes, &tasks, sizeof tasks);
    m->section_stack[m->sections] = m->r[m->at.stack_register];
    m->section_code[m->sections] = m->r[arguments[0]];
    m->section_data[m->sections] = m->r[arguments[1]];
    if (m->at.link_register >= 0)
        m->section_return[m->sections] = m->r[m->at.link_register];
    m->sections++;
    if (tasks > 1)
        core_parallel(m->c, (int)tasks);
    return begin_task(m, m->mode != TIMED && tasks > 1 && m->sections == 1, target);
}

static enum outcome end_section(machine *m, uint64_t *target)
{
    if (m->sections == 0 || (uint32_t)m->r[m->at.result_register] != 0)
        return KERNEL_FAILED;
    if (m->probing)
        return begin_task(m, 0, target);
    m->sections--;
    core_parallel(m->c, 1);
    m->r[m->at.stack_register] = m->section_stack[m->sections];
    if (m->at.link_register < 0)
        return return_value(m, 0, target);
    *target = m->section_return[m->sections];
    return RAN;
}

/* As TVM's workspace pool: whole pages, the smallest free block that is large enough is used again. Each thread has
 * a pool of its own. */
static enum outcome allocate(machine *m, uint64_t bytes, uint64_t *address)
{
    bytes = (bytes + 4095) & ~4095ull;
    workspace *best = 0;
    for (uint32_t i = 0; i < m->n_workspaces; i++) {
        workspace *one = &m->workspaces[i];
        if (one->task == m->probing && !one->used && one->bytes >= bytes && (best == 0 || one->bytes < best->bytes))
            best = one;
    }
    if (best == 0) {
        if (m->n_workspaces == MAX_WORKSPACES || bytes + 4096 > m->at.heap_bytes - m->heap_used)
            return OUT_OF_MEMORY;
        best = &m->workspaces[m->n_workspaces++];
        *best = (workspace){m->at.heap + m->heap_used + 64, bytes, 0, m->probing};
        m->heap_used += bytes + 4096;
    }
    best->used = 1;
    *address = best->address;
    return RAN;
}

static void release(machine *m, uint64_t address)
{
    for (uint32_t i = 0; i < m->n_workspaces; i++)
        if (m->workspaces[i].address == address)
            m->workspaces[i].used = 0;
}

static enum outcome move_memory(machine *m, int copy, enum mode mode)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint64_t to = m->r[arguments[0]], from = m->r[arguments[1]], bytes = m->r[arguments[2]];
    uint8_t *target = host(m, to, bytes), *source = copy ? host(m, from, bytes) : target;
    if (target == 0 || source == 0)
        return FAULT;
    if (copy)
        memmove(target, source, bytes);
    else
        memset(target, (int)from, bytes);
    m->streamed[mode == TIMED] += bytes;
    if (mode == TIMED) {
        double before = core_stream_cycles(m->c);
        core_stream(m->c, to, copy ? from : 0, bytes);
        m->stream_cycles += core_stream_cycles(m->c) - before;
        return RAN;
    }
    for (uint64_t at = 0; mode != COUNTED && at < bytes; at += 64) {
        uint32_t part = bytes - at < 64 ? (uint32_t)(bytes - at) : 64;
        access both[] = {{to + at, part, 1}, {from + at, part, 0}};
        if (mode == MARKED)
            core_mark(m->c, both, copy ? 2 : 1);
        else
            core_touch(m->c, both, copy ? 2 : 1);
    }
    return RAN;
}

/* A jump out of the program: *target becomes where to go on, 0 when the kernel has returned. */
static enum outcome runtime_call(machine *m, uint64_t *target, enum mode mode)
{
    const uint8_t *arguments = m->at.argument_registers;
    uint64_t offset = *target - m->at.magic, value = 0;
    enum outcome outcome = RAN;
    m->error_address = *target;
    if (offset % IMPORT_BYTES != 0 || offset / IMPORT_BYTES >= IMPORTS)
        return NO_SUCH_CODE;
    switch ((enum import)(offset / IMPORT_BYTES)) {
    case IMPORT_RETURN:
        *target = 0;
        return (uint32_t)m->r[m->at.result_register] == 0 ? RAN : KERNEL_FAILED;
    case IMPORT_SECTION_RETURN: return end_section(m, target);
    case IMPORT_LAUNCH: return begin_section(m, target);
    case IMPORT_ERROR:
        m->error_address = m->r[arguments[0]];
        return KERNEL_FAILED;
    case IMPORT_ALLOC: {
        uint64_t bytes = m->r[arguments[2]];
        outcome = allocate(m, m->at.pointer_bytes == 4 ? (uint32_t)bytes : bytes, &value);
        if (mode == TIMED)
            core_runtime(m->c, ALLOC_INSTRUCTIONS);
        break;
    }
    case IMPORT_FREE:
        release(m, m->r[arguments[2]]);
        if (mode == TIMED)
            core_runtime(m->c, FREE_INSTRUCTIONS);
        break;
    case IMPORT_MEMSET:
    case IMPORT_MEMCPY:
        value = m->r[arguments[0]];
        outcome = move_memory(m, offset / IMPORT_BYTES == IMPORT_MEMCPY, mode);
        break;
    case IMPORT_DIVIDE_S:
    case IMPORT_DIVIDE_U: {
        uint64_t a = m->r[arguments[0]], b = m->r[arguments[1]];
        int is_signed = offset / IMPORT_BYTES == IMPORT_DIVIDE_S;
        value = (uint32_t)divide(a, b, 4, is_signed, 0);
        m->r[arguments[1]] = (uint32_t)divide(a, b, 4, is_signed, 1);
        break;
    }
    default: break; /* barrier, libm: other tasks are not run, values are not computed */
    }
    return outcome == RAN ? return_value(m, value, target) : outcome;
}

/* A call that changes what is timed, or how. */
static int is_timed_only(const machine *m, uint64_t target)
{
    uint64_t number = (target - m->at.magic) / IMPORT_BYTES;
    return number == IMPORT_RETURN || number == IMPORT_SECTION_RETURN || number == IMPORT_LAUNCH;
}
