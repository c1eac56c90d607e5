/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin of qemu-user that writes what an AArch64 program does in a region of it: stream.h says how.
 *
 * Arguments: out=PATH (a pipe), function=OFFSET and code=PATH (where the function lies that is the region), call=N.
 * Call N of it is the timed region, call N - 1 the one that warms the caches. Programs may mark regions themselves by
 * prctl(MARK, REGION_...), which the kernel refuses and nothing else knows.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pace.h"
#include "qemu_plugin.h"
#include "stream.h"

#define EXPORT __attribute__((visibility("default")))

enum { BUFFER = 1 << 16, PRCTL = 167, MARK = 0x6d6e63, LINE = 4096 };

typedef struct block {
    uint64_t end;
    uint32_t id;
    uint8_t calls, starts;
    uint64_t address;
} block;

typedef struct words {
    uint64_t *at;
    size_t used, room;
} words;

static struct {
    int out;
    char *file;
    uint64_t function, call;
} asked = {.out = -1};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static words definitions;
static words did[CPUS];
static uint64_t called[CPUS]; /* where the latest call goes back to */
static volatile int active;
static volatile unsigned regions; /* begun or ended so far, */
static unsigned told[CPUS];       /* of which each CPU's words say so */
static uint64_t calls, back;
static unsigned caller;
static uint32_t blocks;
static struct { uintptr_t first, last; int wanted; uint64_t minus; } mapping; /* the file that the code translated last is of */

static void put(words *to, uint64_t word)
{
    if (to->used == to->room) {
        to->room = to->room ? 2 * to->room : BUFFER;
        to->at = realloc(to->at, to->room * sizeof *to->at);
        if (!to->at) abort();
    }
    to->at[to->used++] = word;
}

static void write_all(const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes) {
        ssize_t wrote = write(asked.out, at, bytes);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) _exit(1); /* nobody reads any more */
        at += wrote, bytes -= (size_t)wrote;
    }
}

static void packet(unsigned cpu, words *of)
{
    if (!of->used) return;
    uint64_t header = HEADER(cpu, of->used);
    write_all(&header, sizeof header);
    write_all(of->at, of->used * sizeof *of->at);
    of->used = 0;
}

/* Code is described before what ran it. */
static void flush(unsigned cpu)
{
    pthread_mutex_lock(&lock);
    packet(DEFINITIONS, &definitions);
    packet(cpu, &did[cpu]);
    pthread_mutex_unlock(&lock);
}

static inline void tell(unsigned cpu, uint64_t word)
{
    words *to = &did[cpu];
    if (__builtin_expect(told[cpu] != regions, 0)) {
        told[cpu] = regions;
        put(to, WORD(KIND_REGION, active));
    }
    if (__builtin_expect(to->used >= BUFFER - 1, 0)) flush(cpu);
    put(to, word);
}

static void begin(enum region which)
{
    active = which;
    regions++;
}

static void enter(unsigned cpu)
{
    uint64_t now = ++calls;
    if (now + 1 != asked.call && now != asked.call) return;
    back = called[cpu], caller = cpu;
    begin(now == asked.call ? REGION_TIMED : REGION_WARM);
}

static void executed(unsigned cpu, void *given)
{
    const block *one = given;
    cpu %= CPUS;
    if (active) {
        if (one->address == back && cpu == caller) back = 0, begin(REGION_END);
    } else if (one->starts) {
        enter(cpu);
    }
    if (one->calls) called[cpu] = one->end;
    if (active) tell(cpu, WORD(KIND_BLOCK, one->id));
    pace_runs(cpu, (one->end - one->address) / 4, active);
}

static void accessed(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *place)
{
    if (!active) return;
    enum kind kind = qemu_plugin_mem_is_store(info) ? KIND_STORE : KIND_LOAD;
    tell(cpu % CPUS, ACCESS(kind, (uintptr_t)place, qemu_plugin_mem_size_shift(info), address));
}

static void marked(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)d, (void)e, (void)f, (void)g, (void)h;
    pace_leaves(cpu % CPUS, number, a, b, c);
    if (number == PRCTL && a == MARK) begin((enum region)b);
    if (number == FUTEX && active) tell(cpu % CPUS, WORD(KIND_REGION, REGION_SECTION));
}

static void describe_mapping(uint64_t first, uint64_t last, uint64_t offset, const char *path)
{
    size_t bytes = strlen(path), words_of = (bytes + 7) / 8;
    put(&definitions, WORD(KIND_MAPPING, bytes));
    put(&definitions, first), put(&definitions, last), put(&definitions, offset);
    for (size_t k = 0; k < words_of; k++) {
        uint64_t part = 0;
        memcpy(&part, path + 8 * k, bytes - 8 * k < 8 ? bytes - 8 * k : 8);
        put(&definitions, part);
    }
}

/* Finds the file that the code at `host`, which the program sees at `address`, was read from. */
static void find_mapping(uintptr_t host, uint64_t address)
{
    char line[LINE], path[LINE];
    FILE *maps = fopen("/proc/self/maps", "r");
    mapping.first = mapping.last = 0;
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long first, last, offset;
        path[0] = 0;
        if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %4095[^\n]", &first, &last, &offset, path) < 3) continue;
        if (host < first || host >= last) continue;
        mapping.first = first, mapping.last = last;
        mapping.minus = (uint64_t)first - offset;
        mapping.wanted = asked.file && !strcmp(path, asked.file);
        uint64_t guest = address - (host - first);
        describe_mapping(guest, guest + (last - first), offset, path);
    }
    if (maps) fclose(maps);
}

static int is_call(uint32_t code)
{
    return code >> 26 == 0x25 /* bl */ || (code & 0xfffffc1f) == 0xd63f0000 /* blr */;
}

static void describe(struct qemu_plugin_tb *tb, block *one, size_t count)
{
    uint32_t code = 0;
    put(&definitions, WORD(KIND_CODE, one->id));
    put(&definitions, one->address);
    put(&definitions, count);
    for (size_t k = 0; k < count; k += 2) {
        uint32_t two[2] = {0, 0};
        for (size_t j = 0; j < 2 && k + j < count; j++)
            copy_instruction(qemu_plugin_tb_get_insn(tb, k + j), &two[j]), code = two[j];
        put(&definitions, two[0] | (uint64_t)two[1] << 32);
    }
    one->calls = (uint8_t)is_call(code);
    one->end = one->address + 4 * count;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);
    block *one = calloc(1, sizeof *one);
    if (!one) abort();
    one->address = qemu_plugin_tb_vaddr(tb);
    uintptr_t host = (uintptr_t)qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0));
    pthread_mutex_lock(&lock);
    if (host < mapping.first || host >= mapping.last) find_mapping(host, one->address);
    one->id = blocks++;
    one->starts = mapping.wanted && host - mapping.minus == asked.function;
    describe(tb, one, count);
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, one);
    for (uintptr_t k = 0; k < count; k++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, k), accessed, QEMU_PLUGIN_CB_NO_REGS,
                                         QEMU_PLUGIN_MEM_RW, (void *)(k < LAST_PLACE ? k : LAST_PLACE));
}

static void ended(qemu_plugin_id_t id, void *given)
{
    (void)id, (void)given;
    for (unsigned cpu = 0; cpu < CPUS; cpu++) flush(cpu);
}

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int k = 0; k < argc; k++) {
        char *value = strchr(argv[k], '=');
        if (!value) return -1;
        *value++ = 0;
        if (!strcmp(argv[k], "out")) asked.out = open(value, O_WRONLY | O_CLOEXEC);
        if (!strcmp(argv[k], "code")) asked.file = strdup(value);
        if (!strcmp(argv[k], "function")) asked.function = strtoull(value, 0, 0);
        if (!strcmp(argv[k], "call")) asked.call = strtoull(value, 0, 0);
    }
    if (asked.out < 0) return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, marked);
    qemu_plugin_register_atexit_cb(id, ended, 0);
    return 0;
}
