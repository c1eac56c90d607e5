// SPDX-License-Identifier: Apache-2.0
// Runs a kernel's memory image as an AArch64 program: the image at its own addresses, TVM's runtime behind its
// imports. usage: emulated IMAGE BASE MAGIC ENTRY STACK HEAP ENVIRONMENT THREADS and six arguments
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEAP_BYTES = 96 << 20 }; // after the image's file

typedef int (*task)(int, void *, void *);
static uint64_t heap;
static char *environment;
static int threads;
static struct block { uint64_t address, bytes; int used; } block[64];
static int blocks;

// As a function on the stack it was called on: the interpreter runs the task so.
__asm__(".global launch\n"
        "launch: mov x2, x1\n"
        "  mov x9, x0\n"
        "  adrp x10, launch_link\n"
        "  str x30, [x10, :lo12:launch_link]\n"
        "  adrp x1, launch_environment\n"
        "  ldr x1, [x1, :lo12:launch_environment]\n"
        "  mov x0, #0\n"
        "  adrp x10, launch_back\n"
        "  ldr x30, [x10, :lo12:launch_back]\n"
        "  br x9\n"
        ".global launched\n"
        "launched: adrp x10, launch_link\n"
        "  ldr x30, [x10, :lo12:launch_link]\n"
        "  ret\n");
extern void launch(void), launched(void);
uint64_t launch_link, launch_environment, launch_back;

static void *allocate(int type, int id, uint64_t bytes, int code, int bits)
{
    bytes = (bytes + 4095) & ~4095ull;
    int best = -1;
    for (int i = 0; i < blocks; i++)
        if (!block[i].used && block[i].bytes >= bytes && (best < 0 || block[i].bytes < block[best].bytes))
            best = i;
    if (best < 0) {
        block[best = blocks++] = (struct block){heap + 64, bytes, 0};
        heap += bytes + 4096;
    }
    block[best].used = 1;
    (void)type, (void)id, (void)code, (void)bits;
    return (void *)block[best].address;
}
static int release(int type, int id, void *at)
{
    for (int i = 0; i < blocks; i++)
        if (block[i].address == (uint64_t)at)
            block[i].used = 0;
    (void)type, (void)id;
    return 0;
}
static int barrier(int id, void *env) { (void)id, (void)env; return 0; }
static void failed(const char *why) { fprintf(stderr, "kernel: %s\n", why); exit(3); }
static void finished(void) { puts("finished"); exit(0); }

int main(int argc, char **argv)
{
    uint64_t n[16] = {0};
    for (int i = 2; i < argc; i++)
        n[i] = strtoull(argv[i], 0, 0);
    FILE *file = fopen(argv[1], "rb");
    fseek(file, 0, SEEK_END);
    size_t bytes = (size_t)ftell(file);
    rewind(file);
    char *base = mmap((void *)n[2], bytes + HEAP_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (base != (char *)n[2] || fread(base, 1, bytes, file) != bytes)
        return 2;
    heap = n[6], environment = (char *)n[7], threads = (int)n[8];
    memset(environment, 0, 16);
    memcpy(environment + 8, &threads, 4);
    launch_environment = n[7], launch_back = n[3] + 16;
    void *imports[] = {finished, launched, launch, barrier, allocate, release, failed, memset, memmove};
    for (unsigned i = 0; i < sizeof imports / sizeof *imports; i++) {
        uint32_t code[] = {0x58000050, 0xd61f0200}; // ldr x16, 8; br x16
        memcpy((char *)n[3] + 16 * i, code, 8);
        memcpy((char *)n[3] + 16 * i + 8, &imports[i], 8);
    }
    __builtin___clear_cache(base, base + bytes);
    // Every register as the interpreter begins with it.
    uint64_t all[32] = {n[9], n[10], n[11], n[12], n[13], n[14], [30] = n[3]};
    register uint64_t from __asm__("x9") = (uint64_t)all;
    register uint64_t stack __asm__("x10") = n[5];
    register uint64_t entry __asm__("x11") = n[4];
    __asm__ volatile("mov x29, %0\n mov sp, %1\n mov x28, %2\n"
                     "ldp x0, x1, [x29, #0]\n ldp x2, x3, [x29, #16]\n ldp x4, x5, [x29, #32]\n"
                     "ldr x30, [x29, #240]\n mov x17, x28\n"
                     "mov x6, #0\n mov x7, #0\n mov x8, #0\n mov x9, #0\n mov x10, #0\n mov x11, #0\n"
                     "mov x12, #0\n mov x13, #0\n mov x14, #0\n mov x15, #0\n mov x18, #0\n mov x19, #0\n"
                     "mov x20, #0\n mov x21, #0\n mov x22, #0\n mov x23, #0\n mov x24, #0\n mov x25, #0\n"
                     "mov x26, #0\n mov x27, #0\n mov x28, #0\n mov x29, #0\n br x17\n"
                     :: "r"(from), "r"(stack), "r"(entry) : "memory");
    return 4;
}
